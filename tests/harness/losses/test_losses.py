"""Every loss against its equation, written out in float64, and against what any loss must do."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.outputs import ModelOutputs
from tests.helpers.available_losses import L, part_of

Floats = NDArray[np.float64]
affinity_distance = part_of("knowledge_adaptation", "affinity_distance")


def log_softmax(logits: Floats) -> Floats:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def cross_entropy(student: Floats, labels: NDArray[np.int64], smoothing: float = 0.0) -> float:
    log = log_softmax(student)
    hard = log[np.arange(len(labels)), labels]
    return float(-((1 - smoothing) * hard + smoothing * log.mean(axis=1)).mean())


def divergence(student: Floats, teacher: Floats, temperature: float) -> float:
    p, q = log_softmax(teacher / temperature), log_softmax(student / temperature)
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


@pytest.fixture
def case() -> tuple[Floats, Floats, NDArray[np.int64]]:
    generator = np.random.default_rng(7)
    return generator.normal(size=(5, 4)), 3 * generator.normal(size=(5, 4)), generator.integers(0, 4, 5)


def value(loss: nn.Module, student: Floats, teacher: Floats | None, labels: NDArray[np.generic]) -> float:
    seen = ModelOutputs(torch.tensor(student))
    of_teacher = None if teacher is None else ModelOutputs(torch.tensor(teacher))
    return float(loss(seen, of_teacher, torch.tensor(labels)))


def test_cross_entropy_is_its_equation(case: tuple[Floats, Floats, NDArray[np.int64]]) -> None:
    student, _, labels = case
    assert value(L.CrossEntropy(), student, None, labels) == pytest.approx(cross_entropy(student, labels), rel=1e-12)
    smooth = value(L.CrossEntropy(label_smoothing=0.2), student, None, labels)
    assert smooth == pytest.approx(cross_entropy(student, labels, 0.2), rel=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1, 4])
def test_kl_is_its_equation(case: tuple[Floats, Floats, NDArray[np.int64]], temperature: float) -> None:
    student, teacher, labels = case
    expected = divergence(student, teacher, temperature)
    assert value(L.KL(temperature=temperature), student, teacher, labels) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("alpha", [0, 0.1, 1])
def test_kd_is_hintons_sum(case: tuple[Floats, Floats, NDArray[np.int64]], alpha: float) -> None:
    student, teacher, labels = case
    expected = alpha * cross_entropy(student, labels) + (1 - alpha) * 16 * divergence(student, teacher, 4)
    assert value(L.KD(temperature=4, alpha=alpha), student, teacher, labels) == pytest.approx(expected, rel=1e-12)


def test_golden_kd() -> None:
    """Worked by hand: equal student logits against a teacher of odds 3 to 1 at T = 1."""
    student, teacher = np.zeros((1, 2)), np.array([[math.log(3), 0.0]])
    expected = 0.5 * math.log(2) + 0.5 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert value(L.KD(temperature=1, alpha=0.5), student, teacher, np.array([0])) == pytest.approx(expected, rel=1e-12)


def test_mean_squared_errors() -> None:
    student, teacher = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 0.0], [0.0, 5.0]])
    assert value(L.LogitMSE(), student, teacher, np.array([0, 1])) == pytest.approx((4 + 9) / 4)
    assert value(L.MSE(), np.array([[1.0], [2.0]]), None, np.array([0.0, 4.0])) == pytest.approx((1 + 4) / 2)


@given(shift=st.floats(-50, 50), temperature=st.floats(0.5, 20))
def test_a_shift_of_all_logits_changes_no_distribution(shift: float, temperature: float) -> None:
    generator = np.random.default_rng(3)
    student, teacher, labels = generator.normal(size=(3, 5)), generator.normal(size=(3, 5)), np.array([0, 1, 4])
    loss = L.KD(temperature=temperature, alpha=0.2)
    assert value(loss, student + shift, teacher - shift, labels) == pytest.approx(
        value(loss, student, teacher, labels), abs=1e-9
    )


@pytest.mark.parametrize("loss", [L.KL(temperature=2), L.KD(temperature=2, alpha=0), L.LogitMSE()])
def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it(loss: nn.Module) -> None:
    logits = np.random.default_rng(1).normal(size=(4, 3))
    assert value(loss, logits, logits, np.array([0, 1, 2, 0])) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ((8, 6, 6), (16, 6, 6)), ((8, 8, 8), (16, 4, 4)), ((8, 4, 4), (16, 8, 8)), ((8, 7, 5), (16, 5, 4)),
        ((8, 3, 4), (16, 5, 5)), ((10, 8), (10, 16)), ((8,), (16,)),
    ],
)  # fmt: skip
def test_a_hint_is_the_mean_square_after_a_learned_regressor(student: tuple[int], teacher: tuple[int]) -> None:
    hint = L.Hint(student="a", teacher="b")
    given = ModelOutputs(None, {"a": torch.randn(3, *student, requires_grad=True)})
    wanted = ModelOutputs(None, {"b": torch.randn(3, *teacher)})
    hint.build_adapters(given.detach(), wanted)
    regressed = hint.regressor(given["a"])
    assert regressed.shape == wanted["b"].shape
    loss = hint(given, wanted, torch.zeros(3))
    assert loss.item() == pytest.approx((regressed - wanted["b"]).detach().double().square().mean().item())
    loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in hint.parameters())
    assert given["a"].grad.abs().sum() > 0


def test_a_hint_between_shapes_that_nothing_leads_between_is_refused() -> None:
    hint = L.Hint(student="a", teacher="b")
    with pytest.raises(ValueError, match=r"no regressor leads from the student's \(10, 8\) to the teacher's \(9, 8\)"):
        hint.build_adapters(
            ModelOutputs(None, {"a": torch.randn(2, 10, 8)}), ModelOutputs(None, {"b": torch.randn(2, 9, 8)})
        )


def test_binary_cross_entropy_is_its_equation(case: tuple[Floats, Floats, NDArray[np.int64]]) -> None:
    student, other, _ = case
    labels = (other > 0).astype(np.float64)
    p = 1 / (1 + np.exp(-student))
    expected = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean()
    assert value(L.BinaryCrossEntropy(), student, None, labels) == pytest.approx(expected, rel=1e-12)


def test_extreme_logits_stay_finite() -> None:
    student, teacher = np.array([[1e4, -1e4, 0.0]]), np.array([[-1e4, 1e4, 0.0]])
    assert math.isfinite(value(L.KD(temperature=1, alpha=0.1), student, teacher, np.array([1])))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: L.KL(temperature=0), "temperature must be above 0"),
        (lambda: L.KD(temperature=1, alpha=1.5), "alpha must be in"),
        (lambda: L.CrossEntropy(label_smoothing=1), "label_smoothing must be in"),
    ],
)
def test_settings_that_make_no_sense_are_refused(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=message):
        build()


def seen(seed: int, **shapes: tuple[int, ...]) -> ModelOutputs:
    generator = torch.Generator().manual_seed(seed)
    taps = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    return ModelOutputs(None, taps)


def test_cross_entropy_of_pixels_leaves_out_what_is_ignored_and_reads_an_auxiliary_classifier() -> None:
    generator = np.random.default_rng(1)
    logits, labels = generator.normal(size=(2, 3, 4, 4)), generator.integers(0, 3, (2, 4, 4))
    labels[0, :2] = 255
    flat, known = logits.transpose(0, 2, 3, 1).reshape(-1, 3), labels.reshape(-1)
    expected = cross_entropy(flat[known != 255], known[known != 255])
    loss = L.CrossEntropy(ignore_index=255)
    assert value(loss, logits, None, labels) == pytest.approx(expected, rel=1e-12)
    aux = L.CrossEntropy(ignore_index=255, of="aux_classifier")
    assert (aux.student_features, aux.reads_logits) == (("aux_classifier",), False)
    small = torch.tensor(logits[:, :, ::2, ::2])
    resized = F.interpolate(small, size=(4, 4), mode="bilinear", align_corners=False).numpy()
    found = aux(ModelOutputs(None, {"aux_classifier": small}), None, torch.tensor(labels))
    assert float(found) == pytest.approx(value(loss, resized, None, labels), rel=1e-12)


def test_knowledge_review_is_its_fusions_and_its_hierarchical_loss() -> None:
    """Written out for two layers: the deep one alone, then the shallow one with what was made of it."""
    loss = L.KnowledgeReview(student=["a", "b"], teacher=["a", "b"], mid_channels=5)
    student, teacher = seen(0, a=(2, 3, 8, 8), b=(2, 4, 4, 4)), seen(1, a=(2, 6, 8, 8), b=(2, 7, 4, 4))
    loss.build_adapters(student, teacher)
    loss.double().eval()
    shallow, deep = loss.fusions
    assert deep.attention is None
    with torch.no_grad():
        made = deep.reduce(student["b"])
        expected = context(deep.expand(made), teacher["b"], [2, 1])
        own, above = shallow.reduce(student["a"]), made.repeat_interleave(2, 2).repeat_interleave(2, 3)
        weights = torch.sigmoid(shallow.attention[0](torch.cat([own, above], 1)))
        fused = own * weights[:, :1] + above * weights[:, 1:]
        expected += context(shallow.expand(fused), teacher["a"], [4, 2, 1])
        assert float(loss(student, teacher, torch.zeros(2))) == pytest.approx(float(expected), rel=1e-9)
    with pytest.raises(ValueError, match="taps go in pairs: 1 of the student, 2 of the teacher"):
        L.KnowledgeReview(student=["a"], teacher=["a", "b"])
    with pytest.raises(ValueError, match=r"a is \(3, 8, 8\) and b \(7, 4, 4\)"):
        L.KnowledgeReview(student=["a"], teacher=["b"]).build_adapters(student, teacher)


def context(student: Tensor, teacher: Tensor, sides: list[int]) -> Tensor:
    """The mean squared error at full size, then of means over ever larger squares, each half as heavy."""
    total, weights = ((student - teacher) ** 2).mean(), 1.0
    for place, side in enumerate(sides, 1):
        step = student.shape[2] // side
        pooled = [f.reshape(*f.shape[:2], side, step, side, step).mean((3, 5)) for f in (student, teacher)]
        total, weights = total + ((pooled[0] - pooled[1]) ** 2).mean() / 2**place, weights + 1 / 2**place
    return total / weights


def test_paraphrase_is_a_reconstruction_and_the_size_of_the_code() -> None:
    loss = L.KnowledgeTranslation(teacher="t", rate=0.5, l1=0.01)
    teacher = seen(2, t=(3, 6, 5, 5))
    loss.build_adapters(ModelOutputs(), teacher)
    loss.double().eval()
    assert loss.encoder is not None
    assert loss.decoder is not None
    with torch.no_grad():
        code = loss.encoder(teacher["t"])
        assert code.shape == (3, 3, 5, 5)
        expected = ((loss.decoder(code) - teacher["t"]) ** 2).mean() + 0.01 * code.abs().sum() / 3
        assert float(loss(ModelOutputs(), teacher, torch.zeros(3))) == pytest.approx(float(expected), rel=1e-9)


def test_knowledge_adaptation_compares_codes_and_affinities() -> None:
    """Against the equations with their HW x HW matrices; the encoder of the stage before stays as it is."""
    before = L.KnowledgeTranslation(teacher="t", rate=0.5)
    student, teacher = seen(3, s=(2, 4, 5, 5)), seen(4, t=(2, 6, 5, 5))
    before.build_adapters(student, teacher)
    loss = L.KnowledgeAdaptation(student="s", teacher="t", rate=0.5, adaptation=50, affinity=2)
    loss.build_adapters(student, teacher)
    loss.load_state_dict(before.state_dict(), strict=False)
    loss.double().train()
    assert loss.encoder is not None
    assert loss.feature_adapter is not None
    assert loss.affinity_adapter is not None
    assert not loss.encoder.training
    assert all(not parameter.requires_grad for parameter in loss.encoder.parameters())
    code = loss.encoder(teacher["t"])
    assert torch.equal(code, before.encoder.double().eval()(teacher["t"]))  # type: ignore[union-attr]
    adapted = loss.feature_adapter(student["s"])
    unit = [f.flatten(1) / f.flatten(1).norm(dim=1, keepdim=True) for f in (adapted, code)]
    expected = 50 * (unit[0] - unit[1]).abs().mean()
    related = loss.affinity_adapter(student["s"])
    for image in range(2):
        for channel in range(3):
            a, e = (f[image, channel].flatten() / f[image, channel].norm() for f in (related, code))
            expected = expected + 2 * (torch.outer(a, a) - torch.outer(e, e)).norm() / 25 / 2
    found = loss(student, teacher, torch.zeros(2))
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)
    found.backward()
    assert loss.affinity_adapter.weight.grad is not None
    assert torch.isfinite(loss.affinity_adapter.weight.grad).all()
    with pytest.raises(ValueError, match=r"s is \(4, 5, 5\) and t \(6, 4, 4\)"):
        loss.build_adapters(student, seen(4, t=(2, 6, 4, 4)))


def test_equal_affinities_have_no_distance_and_no_gradient_that_is_not_a_number() -> None:
    feature = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    distance = affinity_distance(feature, feature.detach())
    distance.backward()
    assert distance.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(feature.grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [L.KnowledgeTranslation, lambda **rate: L.KnowledgeAdaptation(student="s", **rate)])
@pytest.mark.parametrize("rate", [0, 1.5, -1])
def test_a_rate_that_is_none_is_refused(make: Callable[..., nn.Module], rate: float) -> None:
    with pytest.raises(ValueError, match=r"rate must be in \(0, 1\]"):
        make(teacher="t", rate=rate)
