"""What every loss keeps: each one that `harness.losses` exports is found here by itself, and built from its signature.

An argument without a default is filled in by its name. A new loss whose arguments have new names, or whose shapes are
others, says so in `ARGUMENTS` or `INPUTS`.
"""

import ast
import inspect
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness import losses
from harness.models.outputs import ModelOutputs
from harness.training.objective import Objective, TermRoles
from tests.helpers.project import ROOT
from zoo.tasks.base import Batch, TensorSplit

B, C = 6, 4
ATTENTION = ("block.query", "block.key", "block.value")
ARGUMENTS: dict[str, Any] = {
    "temperature": 2.0, "alpha": 0.3, "of": "a", "student": "a", "teacher": "a", "heads": 2, "negatives": 5, "dim": 3,
    "student_layers": ["block"], "teacher_layers": ["block"], "mid_channels": 3,
}  # fmt: skip
SEVERAL: dict[str, Any] = {"student": ["a", "b"], "teacher": ["a", "b"]}
OWN: dict[str, dict[str, Any]] = {
    "FSP": {"student": [["a", "b"]], "teacher": [["a", "b"]]},
    "MiniLM": {"student": "block", "teacher": "block"},
    "PatientKD": {"student": ["tokens"], "teacher": ["tokens"]},
    "TinyBERT": {"student": ["tokens"], "teacher": ["tokens"]},
}
NEED_TWO_ROWS = {"PAD", "SKDDirection", "SRD"}
ROTATED = {"SSKD", "SelfSupervision"}
GOES_BY_ORDER = {
    "CRD": "negatives are drawn row by row",
    "MGD": "masks are",
    "SSKD": "of equal ranks the first are kept",
}
DRAWN = {"CRD", "MGD"}
ZERO_AT_EQUAL = {
    "ABKD", "AttentionTransfer", "DIST", "DKD", "DISTPlus", "FSP", "FeatureCosine", "FeatureMSE",
    "HeadNetworkDistillation", "KL", "LogitMSE", "MiniLM", "PKT", "PatientKD", "RKD", "SKDDirection", "SKDInstance",
    "SPKD", "TinyBERT",
}  # fmt: skip
NOT_ZERO_AT_EQUAL = {
    "ActivationBoundaries": "a margin", "BinaryCrossEntropy": "labels", "CCKD": "two embeddings",
    "CRD": "two embeddings", "CrossEntropy": "labels", "FactorTransfer": "a learned translator",
    "FeatureNorm": "no teacher", "Hint": "a learned regressor", "ICKD": "a learned embedding", "KD": "labels",
    "KnowledgeAdaptation": "learned adapters", "KnowledgeReview": "learned fusions", "LogitStandardizedKD": "labels",
    "KnowledgeTranslation": "no student", "MGD": "a learned generator", "MSE": "labels", "NKD": "a cross entropy",
    "OFD": "a learned connector", "PAD": "a learned variance", "Paraphrase": "no student", "SRD": "a learned projector",
    "SSKD": "labels", "SelfSupervision": "no student", "TTM": "the temperature is the teacher's", "VID": "a variance",
    "VirtualTeacher": "no teacher",
}  # fmt: skip
NAMES = sorted(losses.__all__)


def build(name: str) -> nn.Module:
    """A loss with an example of every argument that it needs."""
    kind = getattr(losses, name)
    given: dict[str, Any] = {}
    parameters = [p for p in inspect.signature(kind).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for parameter in parameters:
        wanted = SEVERAL if "Sequence" in str(parameter.annotation) and parameter.name in SEVERAL else ARGUMENTS
        own = OWN.get(name, {}).get(parameter.name)
        if parameter.default is parameter.empty or parameter.name in ("negatives", "dim", "mid_channels"):
            given[parameter.name] = wanted[parameter.name] if own is None else own
    loss: nn.Module = kind(**given)
    return loss


def labels_of(name: str, rows: int = B) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    if name == "BinaryCrossEntropy":
        return torch.randint(0, 2, (rows, C), generator=generator).double()
    if name == "MSE":
        return torch.randn(rows, generator=generator, dtype=torch.float64)
    return torch.arange(rows) % C


def observed(name: str, seed: int, *, rows: int = B, wide: bool = False, learns: bool = False) -> ModelOutputs:
    """Random logits, feature maps, tokens and attention of one model; `wide` ones have more channels."""
    generator = torch.Generator().manual_seed(seed)
    rows, more = rows * (4 if name in ROTATED else 1), 2 if wide else 1

    def draw(*shape: int) -> Tensor:
        return torch.randn(rows, *shape, generator=generator, dtype=torch.float64).requires_grad_(learns)

    taps = {"a": draw(4 * more, 4, 4), "b": draw(6 * more, 2, 2), "tokens": draw(5, 8 * more)}
    taps |= {path: draw(5, 8 * more) for path in ATTENTION}
    mask = torch.ones(rows, 5, dtype=torch.int64)
    mask[::2, 3:] = 0
    return ModelOutputs(draw(1 if name == "MSE" else C), {**taps, ":input.attention_mask": mask})


def ready(name: str, *, wide: bool = True) -> tuple[nn.Module, Callable[..., Tensor]]:
    """The loss with its adapters, and a function that calls it as the objective does."""
    torch.manual_seed(0)
    loss = build(name)
    if hasattr(loss, "prepare_split"):
        loss.prepare_split(TensorSplit(torch.zeros(12, 1, 4, 4), torch.arange(12) % C))
    if hasattr(loss, "build_adapters"):
        loss.build_adapters(observed(name, 1, rows=2), observed(name, 2, rows=2, wide=wide))
    loss.double().train()
    teaches = getattr(loss, "needs_teacher", False)

    def call(student: ModelOutputs, teacher: ModelOutputs, labels: Tensor, ids: Tensor | None = None) -> Tensor:
        given: Any = labels
        if getattr(loss, "reads_batch", False):
            ids = torch.arange(len(labels)) if ids is None else ids
            given = Batch(inputs=torch.zeros(len(labels), 1), labels=labels, ids=ids)
        found: Tensor = loss(student, teacher if teaches else None, given)
        return found

    return loss, call


def reached(observation: ModelOutputs) -> set[str]:
    values = {"logits": observation.output, **observation.taps}
    return {name for name, value in values.items() if value is not None and value.grad is not None}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_finite_scalar_whose_gradient_reaches_student_and_adapters(name: str) -> None:
    loss, call = ready(name)
    student, teacher = observed(name, 1, learns=True), observed(name, 2, wide=True)
    total = call(student, teacher, labels_of(name))
    assert total.shape == ()
    assert torch.isfinite(total)
    total.backward()
    learned = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in learned)
    declared = {"logits"} if getattr(loss, "reads_logits", True) else set()
    declared |= {tap for tap in getattr(loss, "student_features", ()) if "mask" not in tap}
    assert reached(student) == declared  # those that have no student learn by their adapters alone
    assert declared or learned


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_never_reaches_the_teacher(name: str) -> None:
    """As the objective calls it: with a teacher that is in the graph, which a loss does not see."""
    loss, _ = ready(name)
    student, teacher = observed(name, 1, learns=True), observed(name, 2, wide=True, learns=True)
    objective = Objective({"student": nn.Identity()}, {"term": loss}, {"term": TermRoles("student", "teacher", 1.0)})
    rows = Batch(inputs=torch.zeros(B, 1), labels=labels_of(name), ids=torch.arange(B))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objective, "observe", lambda batch: {"student": student})
        objective(rows, {"teacher": teacher})["total"].backward()
    assert not reached(teacher)
    assert reached(student) or any(parameter.grad is not None for parameter in loss.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_the_slope(name: str) -> None:
    """Along a random direction, by central differences."""
    student, teacher, labels = observed(name, 1, learns=True), observed(name, 2, wide=True), labels_of(name)
    values = [v for v in (student.output, *student.taps.values()) if v is not None and v.is_floating_point()]
    directions = [torch.randn(v.shape, generator=torch.Generator().manual_seed(8), dtype=v.dtype) for v in values]

    def second(there: ModelOutputs) -> Tensor:
        """The second call, when what the first one sets is set."""
        _, call = ready(name)
        call(student.detach(), teacher, labels)
        torch.manual_seed(5)
        return call(there, teacher, labels)

    def at(step: float) -> Tensor:
        moved = iter([v.detach() + step * d for v, d in zip(values, directions, strict=True)])
        return second(student.map(lambda v: next(moved) if v.is_floating_point() else v))

    second(student).backward()
    slope = sum(float((v.grad * d).sum()) for v, d in zip(values, directions, strict=True) if v.grad is not None)
    assert (at(1e-5) - at(-1e-5)).item() / 2e-5 == pytest.approx(slope, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GOES_BY_ORDER])
def test_the_order_of_a_batch_does_not_matter(name: str) -> None:
    order = torch.randperm(B, generator=torch.Generator().manual_seed(3))
    rows = (order[:, None] * 4 + torch.arange(4)).flatten() if name in ROTATED else order
    student, teacher, labels = observed(name, 1), observed(name, 2, wide=True), labels_of(name)
    before = ready(name)[1](student, teacher, labels)
    after = ready(name)[1](student.map(lambda v: v[rows]), teacher.map(lambda v: v[rows]), labels[order])
    assert after.item() == pytest.approx(before.item(), rel=1e-9)


@pytest.mark.parametrize("name", sorted(ZERO_AT_EQUAL & set(NAMES)))
def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it(name: str) -> None:
    _, call = ready(name, wide=False)
    student = observed(name, 1, learns=True)
    total = call(student, student.detach(), labels_of(name))
    assert total.item() == pytest.approx(0, abs=1e-7)
    total.backward()
    values = [student.output, *student.taps.values()]
    assert all(torch.isfinite(value.grad).all() for value in values if value is not None and value.grad is not None)


def test_of_every_loss_it_is_known_whether_it_is_zero_there_and_why_not() -> None:
    assert set(NAMES) <= ZERO_AT_EQUAL | NOT_ZERO_AT_EQUAL.keys()


@pytest.mark.parametrize("name", NAMES)
def test_under_bf16_autocast_it_is_computed_in_single_precision(name: str) -> None:
    """As the objective calls it, with observations in single precision: the same number, to the last digit."""
    student, teacher = (
        one.map(lambda v: v.float() if v.is_floating_point() else v)
        for one in (observed(name, 1), observed(name, 2, wide=True))
    )
    labels = labels_of(name).float() if labels_of(name).is_floating_point() else labels_of(name)
    rows, found = Batch(inputs=torch.zeros(B, 1), labels=labels, ids=torch.arange(B)), []
    for enabled in (False, True):
        loss = ready(name)[0].float()
        objective = Objective(
            {"student": nn.Identity()}, {"term": loss}, {"term": TermRoles("student", "teacher", 1.0)}
        )
        torch.manual_seed(5)
        with pytest.MonkeyPatch.context() as patch, torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            patch.setattr(objective, "observe", lambda batch: {"student": student})
            found.append(objective(rows, {"teacher": teacher})["total"])
    assert torch.isfinite(found[0])
    assert torch.equal(*found)


@pytest.mark.parametrize("name", NAMES)
def test_it_moves_to_a_device_with_all_that_it_holds(name: str) -> None:
    loss, _ = ready(name)
    loss.to("meta")
    assert {value.device.type for value in [*loss.parameters(), *loss.buffers()]} <= {"meta"}
    tensors = [key for key, value in vars(loss).items() if isinstance(value, Tensor)]
    assert not tensors, "a tensor that is no buffer stays behind"


@pytest.mark.parametrize("name", NAMES)
def test_its_state_comes_back_from_a_checkpoint(name: str, tmp_path: Path) -> None:
    loss, call = ready(name)
    student, teacher, labels = observed(name, 1), observed(name, 2, wide=True), labels_of(name)
    call(student, teacher, labels)
    torch.save(loss.state_dict(), tmp_path / "state.pt")
    again, call_again = ready(name)
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.add_(1)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    torch.manual_seed(1)
    expected = call(student, teacher, labels)
    torch.manual_seed(1)
    assert torch.equal(call_again(student, teacher, labels), expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_row_is_a_number_or_a_clear_refusal(name: str) -> None:
    loss, call = ready(name)
    student, teacher = observed(name, 1, rows=1, learns=True), observed(name, 2, rows=1, wide=True)
    if name in NEED_TWO_ROWS:
        with pytest.raises(ValueError, match=r"a batch of one|more than 1 value per channel"):
            call(student, teacher, labels_of(name, 1))
        return
    total = call(student, teacher, labels_of(name, 1))
    assert torch.isfinite(total)
    total.backward()
    grads = [value.grad for value in (student.output, *student.taps.values()) if value is not None]
    grads += [parameter.grad for parameter in loss.parameters()]
    assert all(torch.isfinite(grad).all() for grad in grads if grad is not None)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DRAWN])
def test_one_is_the_mean_over_its_rows_or_says_that_it_compares_them(name: str) -> None:
    """So that a batch is taken in parts where it may be. BatchNorm in training compares too: the harness knows."""
    loss, call = ready(name)
    loss.eval()
    student, teacher, labels = observed(name, 1), observed(name, 2, wide=True), labels_of(name)
    several = 4 if name in ROTATED else 1

    def part(first: int, end: int) -> Tensor:
        rows = slice(first * several, end * several)
        return call(student.map(lambda v: v[rows]), teacher.map(lambda v: v[rows]), labels[first:end])

    parts = torch.stack([part(0, 3), part(3, B)]).mean().item()
    same = call(student, teacher, labels).item() == pytest.approx(parts, rel=1e-9)
    assert same != getattr(loss, "needs_whole_batch", False)


@pytest.mark.parametrize("name", NAMES)
def test_it_reads_nothing_but_what_it_declares(name: str) -> None:
    """Undeclared logits or taps are not there: the forward stops before them."""
    loss, call = ready(name)
    student, teacher = observed(name, 1), observed(name, 2, wide=True)
    objective = Objective({"student": nn.Identity()}, {"term": loss}, {"term": TermRoles("student", "teacher", 1.0)})
    needs = {who: objective.needs[who] for who in ("student", "teacher")}
    seen = [
        ModelOutputs(one.output if need.logits else None, {path: one[path] for path in need.taps})
        for one, need in zip((student, teacher), needs.values(), strict=True)
    ]
    assert torch.isfinite(call(*seen, labels_of(name)))


def test_no_loss_imports_another() -> None:
    for path in sorted(Path(losses.__file__).parent.glob("*.py")):
        imported = [n.module or "" for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]
        others = {module for module in imported if module.startswith("harness.losses.")}
        assert path.name == "__init__.py" or others <= {"harness.losses.functional"}, path.name


def test_a_removed_file_breaks_nothing_but_its_line_and_its_recipes(tmp_path: Path) -> None:
    """Nor does the collection of the tests that the losses share: in them what is gone is skipped."""
    stem = "knowledge_review"
    for folder in ("harness", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "harness" / "losses"
    gone = [
        node.name for node in ast.parse((package / f"{stem}.py").read_text()).body if isinstance(node, ast.ClassDef)
    ]
    (package / f"{stem}.py").unlink()
    lines = (package / "__init__.py").read_text().splitlines()
    kept = [line for line in lines if f".{stem} " not in line and line.strip(' ",') not in gone]
    (package / "__init__.py").write_text("\n".join(kept))
    tests = [f"tests/harness/losses/test_{name}.py" for name in ("losses", "newer_losses", "parity", "loss_contract")]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-k",
        "Knowledge or oblong",
        *tests,
    ]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    assert "failed" not in found.stdout
    assert "skipped" in found.stdout
