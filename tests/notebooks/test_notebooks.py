"""The notebooks: their files are those of the scripts, and the checks of an executed notebook find what is wrong."""

import json
import re
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

from notebooks.__main__ import execute
from notebooks.build import PLACEHOLDER, build, is_current, repository, scripts
from notebooks.checks import BUDGETS, problem_of
from tests.helpers.project import ROOT

SCRIPTS = scripts()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_committed_notebook_is_that_of_its_script(script: Path) -> None:
    assert is_current(script), "run: python -m notebooks --write"


def test_every_notebook_has_a_script_a_budget_and_a_row_in_the_docs() -> None:
    names = [script.stem for script in SCRIPTS]
    assert names == [*BUDGETS]
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == names
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    assert [name for name in names if f"(../notebooks/{name}.ipynb)" not in page] == []


def test_a_budget_is_that_of_the_docs_and_twice_the_seconds_measured_there() -> None:
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\].*\| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert {name: int(budget) for name, _, budget in rows} == BUDGETS
    assert [name for name, seconds, budget in rows if 2 * int(seconds) > int(budget)] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_notebook_has_no_outputs_and_asserts_its_results(script: Path) -> None:
    cells = json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    assert sum("\nassert " in "".join(cell["source"]) for cell in code) >= 3


def test_badge_and_installation_name_the_repository_of_pyproject(tmp_path: Path) -> None:
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text('[project]\nname = "x"\n')
    assert repository(pyproject) == PLACEHOLDER
    pyproject.write_text('[project]\nname = "x"\nurls.Repository = "https://github.com/someone/x.git"\n')
    assert repository(pyproject) == "https://github.com/someone/x"
    badge, _, setup = build(SCRIPTS[0]).cells[:3]
    assert (
        f"{repository().removeprefix('https://github.com')}/blob/main/notebooks/{SCRIPTS[0].stem}.ipynb" in badge.source
    )
    assert f"git+{repository()}" in setup.source


@pytest.mark.process
@pytest.mark.parametrize(
    ("cell", "result"),
    [("assert False", "failed: AssertionError: "), ("import os; os._exit(1)", "failed: its kernel ended")],
    ids=["no message", "dead kernel"],
)
def test_a_failing_notebook_has_a_result(cell: str, result: str, tmp_path: Path) -> None:
    script = tmp_path / "failing.py"
    script.write_text(f"# %% [markdown]\n# # A title\n\n# %%\n{cell}\n")
    assert execute(script, 60)[1].startswith(result)


def executed(*outputs: NotebookNode) -> NotebookNode:
    """A notebook with one cell that has these outputs."""
    return new_notebook(cells=[new_code_cell("pass", outputs=list(outputs))])


def test_a_notebook_fails_that_is_slow_or_warns_or_is_not_current() -> None:
    fine = executed(new_output("stream", name="stdout", text="fine"))
    warned = executed(new_output("stream", name="stderr", text="UserWarning: old\n"))
    assert problem_of(fine, 9.0, 10.0, current=True) == ""
    assert problem_of(fine, 11.0, 10.0, current=True) == "took longer than its budget of 10 s"
    assert problem_of(warned, 9.0, 10.0, current=True) == "writes to stderr: UserWarning: old"
    assert "python -m notebooks --write" in problem_of(fine, 9.0, 10.0, current=False)
