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
from harness.objective import Objective, Place
from harness.observation import Observation
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
NO_MEAN_OVER_ROWS = {
    "CRD": "drawn", "ICKD": "divided by B^2, as its code is", "MGD": "drawn", "MiniLM": "a mean over tokens",
    "SRD": "a logarithm of a sum", "TinyBERT": "a mean over tokens",
}  # fmt: skip
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


def observed(name: str, seed: int, *, rows: int = B, wide: bool = False, learns: bool = False) -> Observation:
    """Random logits, feature maps, tokens and attention of one model; `wide` ones have more channels."""
    generator = torch.Generator().manual_seed(seed)
    rows, more = rows * (4 if name in ROTATED else 1), 2 if wide else 1

    def draw(*shape: int) -> Tensor:
        return torch.randn(rows, *shape, generator=generator, dtype=torch.float64).requires_grad_(learns)

    taps = {"a": draw(4 * more, 4, 4), "b": draw(6 * more, 2, 2), "tokens": draw(5, 8 * more)}
    taps |= {path: draw(5, 8 * more) for path in ATTENTION}
    mask = torch.ones(rows, 5, dtype=torch.int64)
    mask[::2, 3:] = 0
    return Observation(draw(1 if name == "MSE" else C), {**taps, ":input.attention_mask": mask})


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

    def call(student: Observation, teacher: Observation, labels: Tensor, ids: Tensor | None = None) -> Tensor:
        given: Any = labels
        if getattr(loss, "reads_batch", False):
            ids = torch.arange(len(labels)) if ids is None else ids
            given = Batch(inputs=torch.zeros(len(labels), 1), labels=labels, ids=ids)
        found: Tensor = loss(student, teacher if teaches else None, given)
        return found

    return loss, call


def reached(observation: Observation) -> set[str]:
    values = {"logits": observation.output, **observation.taps}
    return {name for name, value in values.items() if value is not None and value.grad is not None}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_finite_scalar_whose_gradient_reaches_student_and_adapters_and_never_the_teacher(name: str) -> None:
    loss, call = ready(name)
    student, teacher = observed(name, 1, learns=True), observed(name, 2, wide=True, learns=True)
    total = call(student, teacher.detach(), labels_of(name))
    assert total.shape == ()
    assert torch.isfinite(total)
    total.backward()
    learned = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in learned)
    assert not reached(teacher)
    declared = {"logits"} if getattr(loss, "reads_logits", True) else set()
    declared |= {tap for tap in getattr(loss, "student_taps", ()) if "mask" not in tap}
    assert reached(student) == declared  # those that have no student learn by their adapters alone
    assert declared or learned


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GOES_BY_ORDER])
def test_the_order_of_a_batch_does_not_matter(name: str) -> None:
    order = torch.randperm(B, generator=torch.Generator().manual_seed(3))
    rows = (order[:, None] * 4 + torch.arange(4)).flatten() if name in ROTATED else order
    student, teacher, labels = observed(name, 1), observed(name, 2, wide=True), labels_of(name)
    before = ready(name)[1](student, teacher, labels)
    after = ready(name)[1](student.map(lambda v: v[rows]), teacher.map(lambda v: v[rows]), labels[order])
    assert after.item() == pytest.approx(before.item(), rel=1e-9)


@pytest.mark.parametrize("name", sorted(ZERO_AT_EQUAL))
def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it(name: str) -> None:
    _, call = ready(name, wide=False)
    student = observed(name, 1, learns=True)
    total = call(student, student.detach(), labels_of(name))
    assert total.item() == pytest.approx(0, abs=1e-7)
    total.backward()
    values = [student.output, *student.taps.values()]
    assert all(torch.isfinite(value.grad).all() for value in values if value is not None and value.grad is not None)


def test_of_every_loss_it_is_known_whether_it_is_zero_there_and_why_not() -> None:
    assert ZERO_AT_EQUAL | NOT_ZERO_AT_EQUAL.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_works_under_bf16_autocast_in_single_precision(name: str) -> None:
    loss, call = ready(name)
    loss.float()
    student, teacher, labels = observed(name, 1), observed(name, 2, wide=True), labels_of(name)
    single = [one.map(lambda v: v.float() if v.is_floating_point() else v) for one in (student, teacher)]
    labels = labels.float() if labels.is_floating_point() else labels
    with torch.autocast("cpu", torch.bfloat16):
        total = call(*single, labels)
    assert torch.isfinite(total.float())


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


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NO_MEAN_OVER_ROWS])
def test_one_that_does_not_say_that_it_compares_rows_is_their_mean(name: str) -> None:
    """So that a batch may be taken in parts. BatchNorm in training compares rows too, which the harness knows."""
    loss, call = ready(name)
    loss.eval()
    student, teacher, labels = observed(name, 1), observed(name, 2, wide=True), labels_of(name)

    def row(i: int) -> Tensor:
        return call(student.map(lambda v: v[i : i + 1]), teacher.map(lambda v: v[i : i + 1]), labels[i : i + 1])

    if not getattr(loss, "needs_whole_batch", False):
        rows = torch.stack([row(i) for i in range(B)])
        assert call(student, teacher, labels).item() == pytest.approx(rows.mean().item(), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_it_reads_nothing_but_what_it_declares(name: str) -> None:
    """Undeclared logits or taps are not there: the forward stops before them."""
    loss, call = ready(name)
    student, teacher = observed(name, 1), observed(name, 2, wide=True)
    objective = Objective({"student": nn.Identity()}, {"term": loss}, {"term": Place("student", "teacher", 1.0)})
    needs = {who: objective.needs[who] for who in ("student", "teacher")}
    seen = [
        Observation(one.output if need.logits else None, {path: one[path] for path in need.taps})
        for one, need in zip((student, teacher), needs.values(), strict=True)
    ]
    assert torch.isfinite(call(*seen, labels_of(name)))


def test_no_loss_imports_another() -> None:
    for path in sorted(Path(losses.__file__).parent.glob("*.py")):
        imported = [n.module or "" for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]
        others = {module for module in imported if module.startswith("harness.losses.")}
        assert path.name == "__init__.py" or others <= {"harness.losses.functional"}, path.name


@pytest.mark.parametrize("stem", ["crd", "kl"])
def test_a_removed_file_breaks_nothing_but_its_line_and_its_recipes(stem: str, tmp_path: Path) -> None:
    root = Path(losses.__file__).parent.parent.parent
    package = tmp_path / "harness"
    shutil.copytree(root / "harness", package, ignore=shutil.ignore_patterns("__pycache__"))
    source = (package / "losses" / f"{stem}.py").read_text()
    gone = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    (package / "losses" / f"{stem}.py").unlink()
    init = package / "losses" / "__init__.py"
    lines = init.read_text().splitlines()
    init.write_text("\n".join(line for line in lines if f".{stem} " not in line and line.strip(' ",') not in gone))
    code = "import harness.losses as l; print(len([getattr(l, n) for n in l.__all__]))"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    kept = [name for name in losses.__all__ if name not in gone]
    assert (found.returncode, found.stdout.strip()) == (0, str(len(kept))), found.stderr
