"""Losses on logits against their equations, written out in NumPy in float64."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from harness.models.outputs import ModelOutputs
from tests.helpers.available_losses import losses

Floats = NDArray[np.float64]
Case = tuple[Floats, Floats, NDArray[np.int64]]
GENERATOR = np.random.default_rng(11)
STUDENT, TEACHER = GENERATOR.normal(size=(5, 4)), 2 * GENERATOR.normal(size=(5, 4))
LABELS = np.array([0, 3, 1, 1, 2])


def softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def log_softmax(logits: Floats) -> Floats:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def cross_entropy(student: Floats, labels: NDArray[np.int64], smoothing: float = 0.0) -> float:
    log = log_softmax(student)
    hard = log[np.arange(len(labels)), labels]
    return float(-((1 - smoothing) * hard + smoothing * log.mean(axis=1)).mean())


def divergence(student: Floats, teacher: Floats, temperature: float) -> float:
    p, q = log_softmax(teacher / temperature), log_softmax(student / temperature)
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def kl(p: Floats, q: Floats) -> Floats:
    return (p * np.log(p / q)).sum(-1)


@pytest.fixture
def case() -> Case:
    generator = np.random.default_rng(7)
    return generator.normal(size=(5, 4)), 3 * generator.normal(size=(5, 4)), generator.integers(0, 4, 5)


def value(
    loss: nn.Module,
    student: Floats = STUDENT,
    teacher: Floats | None = TEACHER,
    labels: NDArray[np.generic] = LABELS,
) -> float:
    student_outputs = ModelOutputs(torch.tensor(student))
    teacher_outputs = None if teacher is None else ModelOutputs(torch.tensor(teacher))
    return float(loss(student_outputs, teacher_outputs, torch.tensor(labels)))


def test_cross_entropy_equals_its_equation(case: Case) -> None:
    student, _, labels = case
    plain, smooth = losses.CrossEntropy(), losses.CrossEntropy(label_smoothing=0.2)
    assert value(plain, student, None, labels) == pytest.approx(cross_entropy(student, labels), rel=1e-12)
    assert value(smooth, student, None, labels) == pytest.approx(cross_entropy(student, labels, 0.2), rel=1e-12)


def test_cross_entropy_of_pixels_ignores_a_label_and_reads_an_auxiliary_classifier() -> None:
    generator = np.random.default_rng(1)
    logits, labels = generator.normal(size=(2, 3, 4, 4)), generator.integers(0, 3, (2, 4, 4))
    labels[0, :2] = 255
    pixels, pixel_labels = logits.transpose(0, 2, 3, 1).reshape(-1, 3), labels.reshape(-1)
    expected = cross_entropy(pixels[pixel_labels != 255], pixel_labels[pixel_labels != 255])
    loss = losses.CrossEntropy(ignore_index=255)
    assert value(loss, logits, None, labels) == pytest.approx(expected, rel=1e-12)
    auxiliary = losses.CrossEntropy(ignore_index=255, of="aux_classifier")
    small = torch.tensor(logits[:, :, ::2, ::2])
    resized = F.interpolate(small, size=(4, 4), mode="bilinear", align_corners=False).numpy()
    actual = auxiliary(ModelOutputs(None, {"aux_classifier": small}), None, torch.tensor(labels))
    assert float(actual) == pytest.approx(value(loss, resized, None, labels), rel=1e-12)


def test_binary_cross_entropy_equals_its_equation(case: Case) -> None:
    student, other, _ = case
    labels = (other > 0).astype(np.float64)
    p = 1 / (1 + np.exp(-student))
    expected = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean()
    assert value(losses.BinaryCrossEntropy(), student, None, labels) == pytest.approx(expected, rel=1e-12)


def test_mean_squared_errors_equal_their_equations() -> None:
    student, teacher = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 0.0], [0.0, 5.0]])
    assert value(losses.LogitMSE(), student, teacher, np.array([0, 1])) == pytest.approx((4 + 9) / 4)
    regression = value(losses.MSE(), np.array([[1.0], [2.0]]), None, np.array([0.0, 4.0]))
    assert regression == pytest.approx((1 + 4) / 2)


@pytest.mark.parametrize("temperature", [0.5, 1, 4])
def test_kl_equals_its_equation(case: Case, temperature: float) -> None:
    student, teacher, labels = case
    expected = divergence(student, teacher, temperature)
    assert value(losses.KL(temperature=temperature), student, teacher, labels) == pytest.approx(expected, rel=1e-12)


def test_a_class_that_the_teacher_rules_out_adds_nothing() -> None:
    teacher = TEACHER.copy()
    teacher[:, 2] = -np.inf
    possible = [np.delete(x, 2, axis=1) for x in (teacher, softmax(STUDENT))]
    expected = (softmax(possible[0]) * np.log(softmax(possible[0]) / possible[1])).sum(1).mean()
    assert value(losses.KL(), STUDENT, teacher) == pytest.approx(expected, rel=1e-9)
    assert math.isfinite(value(losses.KD(temperature=2, alpha=0.5), STUDENT, teacher))


@pytest.mark.parametrize("alpha", [0, 0.1, 1])
def test_kd_equals_hintons_sum(case: Case, alpha: float) -> None:
    student, teacher, labels = case
    expected = alpha * cross_entropy(student, labels) + (1 - alpha) * 16 * divergence(student, teacher, 4)
    assert value(losses.KD(temperature=4, alpha=alpha), student, teacher, labels) == pytest.approx(expected, rel=1e-12)


def test_kd_equals_a_value_computed_by_hand() -> None:
    """Equal student logits against a teacher of odds 3 to 1 at T = 1."""
    student, teacher = np.zeros((1, 2)), np.array([[math.log(3), 0.0]])
    expected = 0.5 * math.log(2) + 0.5 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    actual = value(losses.KD(temperature=1, alpha=0.5), student, teacher, np.array([0]))
    assert actual == pytest.approx(expected, rel=1e-12)


def test_kd_of_extreme_logits_is_finite() -> None:
    student, teacher = np.array([[1e4, -1e4, 0.0]]), np.array([[-1e4, 1e4, 0.0]])
    assert math.isfinite(value(losses.KD(temperature=1, alpha=0.1), student, teacher, np.array([1])))


@given(shift=st.floats(-50, 50), temperature=st.floats(0.5, 20))
def test_adding_a_constant_to_all_logits_does_not_change_kd(shift: float, temperature: float) -> None:
    generator = np.random.default_rng(3)
    student, teacher, labels = generator.normal(size=(3, 5)), generator.normal(size=(3, 5)), np.array([0, 1, 4])
    loss = losses.KD(temperature=temperature, alpha=0.2)
    shifted = value(loss, student + shift, teacher - shift, labels)
    assert shifted == pytest.approx(value(loss, student, teacher, labels), abs=1e-9)


@pytest.mark.parametrize(
    "loss", [losses.KL(temperature=2), losses.KD(temperature=2, alpha=0), losses.LogitMSE()], ids=["KL", "KD", "MSE"]
)
def test_equal_logits_have_loss_0(loss: nn.Module) -> None:
    logits = np.random.default_rng(1).normal(size=(4, 3))
    assert value(loss, logits, logits, np.array([0, 1, 2, 0])) == pytest.approx(0, abs=1e-15)


def test_dkd_equals_equation_7() -> None:
    expected = 0.0
    for s, t, y in zip(softmax(STUDENT / 4), softmax(TEACHER / 4), LABELS, strict=True):
        binary = [np.array([p[y], 1 - p[y]]) for p in (t, s)]
        others = [np.delete(p, y) / (1 - p[y]) for p in (t, s)]
        expected += 16 * (0.5 * kl(*binary) + 3 * kl(*others)) / len(LABELS)
    assert value(losses.DKD(temperature=4, alpha=0.5, beta=3)) == pytest.approx(expected, rel=1e-9)


def test_dkd_with_the_weights_of_equation_6_equals_kd() -> None:
    """KD is TCKD plus `(1 - p_y) NCKD`, here for one row."""
    s, t, y = STUDENT[:1], TEACHER[:1], LABELS[:1]
    weight = 1 - softmax(t / 4)[0, y[0]]
    actual = value(losses.DKD(temperature=4, alpha=1, beta=weight), s, t, y)
    assert actual == pytest.approx(16 * float(kl(softmax(t / 4), softmax(s / 4))[0]), rel=1e-9)


def test_nkd_equals_equation_6() -> None:
    p, q, pt, qt = softmax(TEACHER), softmax(STUDENT), softmax(TEACHER / 2), softmax(STUDENT / 2)
    expected = 0.0
    for i, y in enumerate(LABELS):
        n, m = np.delete(pt[i], y) / (1 - pt[i, y]), np.delete(qt[i], y) / (1 - qt[i, y])
        expected -= (p[i, y] * np.log(q[i, y]) + 1.5 * 4 * (n * np.log(m)).sum()) / len(LABELS)
    assert value(losses.NKD(temperature=2, gamma=1.5)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_ttm_softens_the_teacher_only(weighted: bool) -> None:
    weights = (softmax(TEACHER) ** (1 / 3)).sum(1) if weighted else 1
    expected = (weights * kl(softmax(TEACHER / 3), softmax(STUDENT))).mean()
    assert value(losses.TTM(temperature=3, weighted=weighted)) == pytest.approx(expected, rel=1e-9)


def test_a_softened_teacher_is_a_normalized_power_of_its_predictions() -> None:
    """The transformation that TTM is named for: softmax(t / T) is p^(1/T) divided by its sum."""
    power = softmax(TEACHER) ** (1 / 3)
    assert np.allclose(softmax(TEACHER / 3), power / power.sum(1, keepdims=True), rtol=1e-12)


def test_abkd_is_the_alpha_beta_divergence_with_both_kl_divergences_as_limits() -> None:
    p, q, a, b = softmax(TEACHER / 2), softmax(STUDENT / 2), 0.7, 0.4
    summands = p**a * q**b - a / (a + b) * p ** (a + b) - b / (a + b) * q ** (a + b)
    expected = -4 / (a * b) * summands.sum(1).mean()
    assert value(losses.ABKD(temperature=2, alpha=a, beta=b)) == pytest.approx(expected, rel=1e-9)
    forward = losses.ABKD(temperature=2, alpha=1, beta=1e-6)
    reverse = losses.ABKD(temperature=2, alpha=1e-6, beta=1)
    assert value(forward) == pytest.approx(4 * kl(p, q).mean(), rel=1e-4)
    assert value(reverse) == pytest.approx(4 * kl(q, p).mean(), rel=1e-4)


def test_a_virtual_teacher_is_mostly_right_and_otherwise_uniform() -> None:
    expected = 0.0
    for s, y in zip(STUDENT, LABELS, strict=True):
        virtual = np.full(4, 0.01 / 3)
        virtual[y] = 0.99
        soft = virtual ** (1 / 20) / (virtual ** (1 / 20)).sum()
        expected += (0.9 * -np.log(softmax(s)[y]) + 0.1 * kl(soft, softmax(s / 20))) / len(LABELS)
    assert value(losses.VirtualTeacher(alpha=0.1, temperature=20, correct=0.99)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("correction", [0, 1])
def test_logits_are_standardized_by_the_deviation_of_the_code_or_of_the_algorithm(correction: int) -> None:
    s, t = (
        (x - x.mean(1, keepdims=True)) / (1e-7 + x.std(1, ddof=correction, keepdims=True)) for x in (STUDENT, TEACHER)
    )
    expected = 4 * kl(softmax(t / 2), softmax(s / 2)).mean()
    loss = losses.LogitStandardizedKD(temperature=2, alpha=0, correction=correction)
    assert value(loss) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: losses.KL(temperature=0), "temperature must be above 0"),
        (lambda: losses.KD(temperature=1, alpha=1.5), "alpha must be in"),
        (lambda: losses.CrossEntropy(label_smoothing=1), "label_smoothing must be in"),
        (lambda: losses.ABKD(alpha=1, beta=-1), "alpha, beta and their sum must not be 0"),
    ],
)
def test_an_argument_out_of_range_is_an_error(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
