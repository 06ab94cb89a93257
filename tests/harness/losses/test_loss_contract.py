"""Requirements on every loss that `harness.losses` exports. A new loss is tested without a change to this file.

`build` fills arguments without a default by their names. A new loss whose arguments have other names or other shapes
needs an entry in `ARGUMENTS` or `ARGUMENTS_OF`.
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
from harness.losses.base import Loss, adapter_builder, split_preparer
from harness.models.outputs import ModelOutputs
from harness.training.objective import Objective, TermRoles
from tests.helpers.device import device
from tests.helpers.operations import no_tensor_on_the_default_device, only_deterministic_operations
from tests.helpers.project import ROOT
from zoo.recipes.loss_needs import needs_of
from zoo.tasks.base import Batch
from zoo.tasks.splits import TensorSplit

ROWS, CLASSES = 6, 4
MASK = ":input.attention_mask"
PROJECTIONS = ("block.query", "block.key", "block.value")
ARGUMENTS: dict[str, Any] = {
    "temperature": 2.0, "alpha": 0.3, "of": "a", "student": "a", "teacher": "a", "heads": 2, "negatives": 5, "dim": 3,
    "student_layers": ["block"], "teacher_layers": ["block"], "mid_channels": 3,
}  # fmt: skip
LISTS: dict[str, Any] = {"student": ["a", "b"], "teacher": ["a", "b"]}
ARGUMENTS_OF: dict[str, dict[str, Any]] = {
    "FSP": {"student": [["a", "b"]], "teacher": [["a", "b"]]},
    "MiniLM": {"student": "block", "teacher": "block"},
    "PatientKD": {"student": ["tokens"], "teacher": ["tokens"]},
    "TinyBERT": {"student": ["tokens"], "teacher": ["tokens"]},
}
ROTATED = {"SSKD", "SelfSupervision"}
DEPENDS_ON_ORDER = {
    "CRD": "negatives are drawn row by row",
    "MGD": "masks are drawn row by row",
    "SSKD": "of rows with equal ranks the first are used",
}
RANDOM = {"CRD", "MGD"}
ZERO_FOR_EQUAL_MODELS = {
    "ABKD", "AttentionTransfer", "DIST", "DKD", "DISTPlus", "FSP", "FeatureCosine", "FeatureMSE",
    "HeadNetworkDistillation", "KL", "LogitMSE", "MiniLM", "PKT", "PatientKD", "RKD", "SKDDirection", "SKDInstance",
    "SPKD", "TinyBERT",
}  # fmt: skip
NOT_ZERO_FOR_EQUAL_MODELS = {
    "ActivationBoundaries": "has a margin", "BinaryCrossEntropy": "reads labels", "CCKD": "learns two embeddings",
    "CRD": "learns two embeddings", "CrossEntropy": "reads labels", "FactorTransfer": "learns a translator",
    "FeatureNorm": "reads no teacher", "Hint": "learns a regressor", "ICKD": "learns an embedding",
    "KD": "reads labels", "KnowledgeAdaptation": "learns adapters", "KnowledgeReview": "learns fusions",
    "LogitStandardizedKD": "reads labels", "KnowledgeTranslation": "reads no student", "MGD": "learns a generator",
    "MSE": "reads labels", "NKD": "is a cross-entropy", "OFD": "learns a connector", "PAD": "learns a variance",
    "Paraphrase": "reads no student", "SRD": "learns a projector", "SSKD": "reads labels",
    "SelfSupervision": "reads no student", "TTM": "gives the teacher alone a temperature", "VID": "learns a variance",
    "VirtualTeacher": "reads no teacher",
}  # fmt: skip
NAMES = sorted({*losses.__all__} - {"DetectorLoss"})
"""`DetectorLoss` reads no logits of rows; `tests/zoo/models/test_detector.py` tests it."""


def build(name: str) -> Loss:
    """Build a loss with an example of every argument that has no default."""
    kind = getattr(losses, name)
    arguments: dict[str, Any] = {}
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        takes_list = "Sequence" in str(parameter.annotation) and parameter.name in LISTS
        if parameter.default is parameter.empty or parameter.name in ("negatives", "dim", "mid_channels"):
            example = (LISTS if takes_list else ARGUMENTS)[parameter.name]
            arguments[parameter.name] = ARGUMENTS_OF.get(name, {}).get(parameter.name, example)
    loss: Loss = kind(**arguments)
    return loss


def labels_for(name: str, rows: int = ROWS) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    if name == "BinaryCrossEntropy":
        return torch.randint(0, 2, (rows, CLASSES), generator=generator).double().to(device())
    if name == "MSE":
        return torch.randn(rows, generator=generator, dtype=torch.float64).to(device())
    return torch.arange(rows, device=device()) % CLASSES


def random_outputs(
    name: str, seed: int, *, rows: int = ROWS, wide: bool = False, requires_grad: bool = False
) -> ModelOutputs:
    """Return random logits, feature maps, tokens and projections of one model; `wide` doubles the channels."""
    generator = torch.Generator().manual_seed(seed)
    rows, factor = rows * (4 if name in ROTATED else 1), 2 if wide else 1

    def draw(*shape: int) -> Tensor:
        values = torch.randn(rows, *shape, generator=generator, dtype=torch.float64)
        return values.to(device()).requires_grad_(requires_grad)

    features = {"a": draw(4 * factor, 4, 4), "b": draw(6 * factor, 2, 2), "tokens": draw(5, 8 * factor)}
    features |= {path: draw(5, 8 * factor) for path in PROJECTIONS}
    mask = torch.ones(rows, 5, dtype=torch.int64, device=device())
    mask[::2, 3:] = 0
    return ModelOutputs(draw(1 if name == "MSE" else CLASSES), {**features, MASK: mask})


def to_float32(outputs: ModelOutputs) -> ModelOutputs:
    return outputs.map(lambda value: value.float() if value.is_floating_point() else value)


def prepared_loss(name: str, *, wide: bool = True) -> tuple[Loss, Callable[..., Tensor]]:
    """Return the loss with its adapters, and a function that calls it as the objective does."""
    torch.manual_seed(0)
    loss = build(name)
    loss.prepare_split(TensorSplit(torch.zeros(12, 1, 4, 4), torch.arange(12) % CLASSES))
    loss.build_adapters(random_outputs(name, 1, rows=2), random_outputs(name, 2, rows=2, wide=wide))
    loss.to(device()).double().train()
    needs = needs_of(loss)

    def call(student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        inputs, ids = labels.new_zeros(len(labels), 1), torch.arange(len(labels), device=labels.device)
        batch = Batch(inputs=inputs.float(), labels=labels, ids=ids)
        value: Tensor = loss(student, teacher if needs.needs_teacher else None, batch if needs.reads_batch else labels)
        return value

    return loss, call


class FixedModel(nn.Module):
    """A model that returns fixed outputs and has fixed features at their paths."""

    def __init__(self, outputs: ModelOutputs) -> None:
        super().__init__()
        self.outputs = outputs
        for path in outputs.features:
            module: nn.Module = self
            for part in [] if path == MASK else path.split("."):
                if not hasattr(module, part):
                    module.add_module(part, nn.Identity())
                module = module.get_submodule(part)

    def forward(self, attention_mask: Tensor) -> Tensor:
        for path, value in self.outputs.features.items():
            if path != MASK:
                self.get_submodule(path)(value)
        return self.outputs.logits


def total_loss(loss: nn.Module, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
    """Return the total of an objective with this one term."""
    objective = Objective(
        {"student": FixedModel(student)}, {"term": loss}, {"term": TermRoles("student", "teacher", 1.0)}
    )
    batch = Batch(
        inputs={"attention_mask": student[MASK]}, labels=labels, ids=torch.arange(len(labels), device=device())
    )
    total: Tensor = objective(batch, {"teacher": teacher})["total"]
    return total


def tensors_with_gradient(outputs: ModelOutputs) -> set[str]:
    tensors = {"logits": outputs.output, **outputs.features}
    return {name for name, value in tensors.items() if value is not None and value.grad is not None}


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_a_finite_scalar_whose_gradient_reaches_student_and_adapters(name: str) -> None:
    """It is computed by operations that a CUDA device has too, with tensors on the device of the features."""
    loss, call = prepared_loss(name)
    student, teacher = random_outputs(name, 1, requires_grad=True), random_outputs(name, 2, wide=True)
    labels = labels_for(name)
    with only_deterministic_operations():
        with no_tensor_on_the_default_device():
            total = call(student, teacher, labels)
        total.backward()
    assert total.shape == ()
    assert torch.isfinite(total)
    learned = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in learned)
    needs = needs_of(loss)
    declared = {"logits"} if needs.reads_logits else set()
    declared |= {path for path in needs.student_features if path != MASK}
    assert tensors_with_gradient(student) == declared  # a loss that reads no student trains its adapters only
    assert declared or learned


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_never_reaches_the_teacher(name: str) -> None:
    loss, _ = prepared_loss(name)
    student = random_outputs(name, 1, requires_grad=True)
    teacher = random_outputs(name, 2, wide=True, requires_grad=True)
    total_loss(loss, student, teacher, labels_for(name)).backward()
    assert not tensors_with_gradient(teacher)
    assert tensors_with_gradient(student) or any(parameter.grad is not None for parameter in loss.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_equals_central_differences(name: str) -> None:
    """Along a random direction."""
    student, labels = random_outputs(name, 1, requires_grad=True), labels_for(name)
    teacher = random_outputs(name, 2, wide=True)
    values = [v for v in (student.output, *student.features.values()) if v is not None and v.is_floating_point()]
    draw = torch.Generator(device())
    directions = [torch.randn(v.shape, generator=draw.manual_seed(8), dtype=v.dtype, device=v.device) for v in values]

    def second_call(outputs: ModelOutputs) -> Tensor:
        """Return the loss of a second call, after the first one has set the state."""
        _, call = prepared_loss(name)
        call(student.detach(), teacher, labels)
        torch.manual_seed(5)
        return call(outputs, teacher, labels)

    def value_at(step: float) -> Tensor:
        moved = iter([v.detach() + step * d for v, d in zip(values, directions, strict=True)])
        return second_call(student.map(lambda v: next(moved) if v.is_floating_point() else v))

    second_call(student).backward()
    slope = sum(float((v.grad * d).sum()) for v, d in zip(values, directions, strict=True) if v.grad is not None)
    assert (value_at(1e-5) - value_at(-1e-5)).item() / 2e-5 == pytest.approx(slope, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DEPENDS_ON_ORDER])
def test_the_order_of_rows_does_not_matter(name: str) -> None:
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(3))
    rows = (order[:, None] * 4 + torch.arange(4)).flatten() if name in ROTATED else order
    student, teacher, labels = random_outputs(name, 1), random_outputs(name, 2, wide=True), labels_for(name)
    before = prepared_loss(name)[1](student, teacher, labels)
    after = prepared_loss(name)[1](student.map(lambda v: v[rows]), teacher.map(lambda v: v[rows]), labels[order])
    assert after.item() == pytest.approx(before.item(), rel=1e-9)


@pytest.mark.parametrize("name", sorted(ZERO_FOR_EQUAL_MODELS & set(NAMES)))
def test_a_student_equal_to_its_teacher_has_loss_0_and_a_finite_gradient(name: str) -> None:
    _, call = prepared_loss(name, wide=False)
    student = random_outputs(name, 1, requires_grad=True)
    total = call(student, student.detach(), labels_for(name))
    assert total.item() == pytest.approx(0, abs=1e-7)
    total.backward()
    values = [student.output, *student.features.values()]
    assert all(torch.isfinite(value.grad).all() for value in values if value is not None and value.grad is not None)


def test_every_loss_is_listed_as_zero_or_not_zero_for_equal_models() -> None:
    assert set(NAMES) <= ZERO_FOR_EQUAL_MODELS | NOT_ZERO_FOR_EQUAL_MODELS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_bf16_autocast_does_not_change_a_loss(name: str) -> None:
    """The objective computes losses in single precision: the numbers are equal to the last digit."""
    student, teacher = to_float32(random_outputs(name, 1)), to_float32(random_outputs(name, 2, wide=True))
    labels = labels_for(name).float() if labels_for(name).is_floating_point() else labels_for(name)
    totals = []
    for enabled in (False, True):
        loss = prepared_loss(name)[0].float()
        torch.manual_seed(5)
        with torch.autocast(device(), torch.bfloat16, enabled=enabled):
            totals.append(total_loss(loss, student, teacher, labels))
    assert torch.isfinite(totals[0])
    assert torch.equal(*totals)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_moves_to_a_device_with_all_its_tensors(name: str) -> None:
    loss, _ = prepared_loss(name)
    loss.to("meta")
    assert {value.device.type for value in [*loss.parameters(), *loss.buffers()]} <= {"meta"}
    tensors = [key for key, value in vars(loss).items() if isinstance(value, Tensor)]
    assert not tensors, "a tensor that is not a buffer does not move"


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_restored_from_its_state_dict(name: str, tmp_path: Path) -> None:
    loss, call = prepared_loss(name)
    student, teacher, labels = random_outputs(name, 1), random_outputs(name, 2, wide=True), labels_for(name)
    call(student, teacher, labels)
    torch.save(loss.state_dict(), tmp_path / "state.pt")
    restored, call_restored = prepared_loss(name)
    with torch.no_grad():
        for parameter in restored.parameters():
            parameter.add_(1)
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    torch.manual_seed(1)
    expected = call(student, teacher, labels)
    torch.manual_seed(1)
    assert torch.equal(call_restored(student, teacher, labels), expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_row_has_a_finite_loss_or_an_error_that_names_the_reason(name: str) -> None:
    loss, call = prepared_loss(name)
    student = random_outputs(name, 1, rows=1, requires_grad=True)
    teacher = random_outputs(name, 2, rows=1, wide=True)
    if needs_of(loss).needs_two_rows:
        with pytest.raises(ValueError, match=r"the batch has one|more than 1 value per channel"):
            call(student, teacher, labels_for(name, 1))
        return
    total = call(student, teacher, labels_for(name, 1))
    assert torch.isfinite(total)
    total.backward()
    grads = [value.grad for value in (student.output, *student.features.values()) if value is not None]
    grads += [parameter.grad for parameter in loss.parameters()]
    assert all(torch.isfinite(grad).all() for grad in grads if grad is not None)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in RANDOM])
def test_a_loss_that_needs_no_whole_batch_is_the_mean_over_parts_of_it(name: str) -> None:
    """In `eval()` mode: BatchNorm in training compares rows too, which the trainer checks."""
    loss, call = prepared_loss(name)
    loss.eval()
    student, teacher, labels = random_outputs(name, 1), random_outputs(name, 2, wide=True), labels_for(name)
    factor = 4 if name in ROTATED else 1

    def part(first: int, end: int) -> Tensor:
        rows = slice(first * factor, end * factor)
        return call(student.map(lambda v: v[rows]), teacher.map(lambda v: v[rows]), labels[first:end])

    mean = torch.stack([part(0, 3), part(3, ROWS)]).mean().item()
    is_mean = call(student, teacher, labels).item() == pytest.approx(mean, rel=1e-9)
    assert is_mean != needs_of(loss).needs_whole_batch


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_reads_only_the_logits_and_features_that_it_declares(name: str) -> None:
    loss, call = prepared_loss(name)
    student, teacher, needs = random_outputs(name, 1), random_outputs(name, 2, wide=True), needs_of(loss)
    declared = [
        ModelOutputs(outputs.output if needs.reads_logits else None, {path: outputs[path] for path in paths})
        for outputs, paths in ((student, needs.student_features), (teacher, needs.teacher_features))
    ]
    assert torch.isfinite(call(*declared, labels_for(name)))


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_derives_from_the_base_class_and_has_typed_declarations(name: str) -> None:
    loss = build(name)
    assert isinstance(loss, Loss)
    assert needs_of(type(loss)).needs_teacher == needs_of(loss).needs_teacher
    assert needs_of(loss).needs_teacher or not needs_of(loss).teacher_features
    assert not needs_of(loss).inherited_parts or adapter_builder(loss)
    assert (split_preparer(loss) is not None) == (name in {*ROTATED, "CRD"})


def test_no_loss_imports_another() -> None:
    for path in sorted(Path(losses.__file__).parent.glob("*.py")):
        imported = [n.module or "" for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]
        shared = {module for module in imported if module.startswith("harness.losses.")}
        assert path.name == "__init__.py" or shared <= {"harness.losses.base", "harness.losses.functional"}, path.name


@pytest.mark.slow
@pytest.mark.process
def test_removing_the_file_of_a_loss_breaks_only_its_line_in_the_package_and_its_recipes(tmp_path: Path) -> None:
    """The other tests of losses can still be collected; tests of the removed loss are skipped."""
    stem = "knowledge_review"
    for folder in ("harness", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "harness" / "losses"
    tree = ast.parse((package / f"{stem}.py").read_text())
    removed = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    (package / f"{stem}.py").unlink()
    lines = (package / "__init__.py").read_text().splitlines()
    remaining = [line for line in lines if f".{stem} " not in line and line.strip(' ",') not in removed]
    (package / "__init__.py").write_text("\n".join(remaining))
    names = ("feature_losses", "prediction_losses", "torchdistill_parity", "torchdistill_differences", "loss_contract")
    tests = [f"tests/harness/losses/test_{name}.py" for name in names]
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-m", "not slow", "-k", "Knowledge or oblong"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout
    assert "skipped" in done.stdout
