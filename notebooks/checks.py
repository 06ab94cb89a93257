"""The time budgets of the notebooks, and what may be wrong with one that was executed."""

from nbformat import NotebookNode

BUDGETS = {
    "1_verify_your_model": 40,
    "2_glue_finetuning": 80,
    "3_glue_distillation": 100,
    "4_cifar_training": 80,
    "5_cifar_feature_distillation": 120,
    "6_reading_records": 120,
}
"""The most seconds that each notebook may take on two quiet cores: at least twice what it takes there."""


def problem_of(notebook: NotebookNode, seconds: float, budget: float, *, current: bool) -> str:
    """Return what is wrong with an executed notebook, or an empty text."""
    if seconds > budget:
        return f"took longer than its budget of {budget:g} s"
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    if warnings := [output.text for output in outputs if output.get("name") == "stderr"]:
        return f"writes to stderr: {warnings[0].strip()[:300]}"
    return "" if current else "its .ipynb is out of date; run: python -m notebooks --write"
