"""Losses on intermediate features against their equations, written out in float64."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.models.outputs import ModelOutputs
from harness.models.rounding import rounding_tolerance
from tests.helpers.available_losses import available_part, losses
from zoo.errors import UsageError
from zoo.tasks.splits import TensorSplit

affinity_distance = available_part("knowledge_adaptation", "affinity_distance")
boundary_distance = available_part("activation_boundaries", "boundary_distance")
Margin, partial_distance = available_part("ofd", "Margin"), available_part("ofd", "partial_distance")


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_features(seed: int, **shapes: tuple[int, ...]) -> ModelOutputs:
    generator = torch.Generator().manual_seed(seed)
    features = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    return ModelOutputs(None, features)


def value(loss: nn.Module, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> Tensor:
    """Build the adapters of a loss, and return its value in float64."""
    outputs = ModelOutputs(None, student), ModelOutputs(None, teacher)
    loss.build_adapters(*outputs)
    loss.double()
    actual: Tensor = loss(*outputs, torch.zeros(2))
    return actual


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ((8, 6, 6), (16, 6, 6)), ((8, 8, 8), (16, 4, 4)), ((8, 4, 4), (16, 8, 8)), ((8, 7, 5), (16, 5, 4)),
        ((8, 3, 4), (16, 5, 5)), ((10, 8), (10, 16)), ((8,), (16,)),
    ],
)  # fmt: skip
def test_a_hint_is_the_mean_squared_error_after_a_learned_regressor(student: tuple[int], teacher: tuple[int]) -> None:
    hint = losses.Hint(student="a", teacher="b")
    student_outputs = ModelOutputs(None, {"a": torch.randn(3, *student, requires_grad=True)})
    teacher_outputs = ModelOutputs(None, {"b": torch.randn(3, *teacher)})
    hint.build_adapters(student_outputs.detach(), teacher_outputs)
    regressed = hint.regressor(student_outputs["a"])
    assert regressed.shape == teacher_outputs["b"].shape
    loss = hint(student_outputs, teacher_outputs, torch.zeros(3))
    expected = (regressed - teacher_outputs["b"]).detach().double().square().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=rounding_tolerance(torch.float32, regressed.numel()))
    loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in hint.parameters())
    assert student_outputs["a"].grad.abs().sum() > 0


def test_a_hint_between_shapes_that_no_regressor_fits_is_an_error() -> None:
    hint = losses.Hint(student="a", teacher="b")
    message = r"no regressor maps the student's shape \(10, 8\) to the teacher's \(9, 8\)"
    with pytest.raises(ValueError, match=message):
        hint.build_adapters(random_features(0, a=(2, 10, 8)), random_features(1, b=(2, 9, 8)))


def test_the_cosine_of_features_of_equal_width_needs_no_adapter() -> None:
    s, t = draw(3, 4), draw(3, 4, seed=1)
    cosines = [float(a @ b / (a.norm() * b.norm())) for a, b in zip(s, t, strict=True)]
    loss = losses.FeatureCosine(student="a", teacher="a")
    assert float(value(loss, {"a": s}, {"a": t})) == pytest.approx(1 - np.mean(cosines), rel=1e-9)
    assert not list(loss.parameters())


def test_knowledge_review_fuses_layers_from_deep_to_shallow() -> None:
    """Written out for two layers: the deep one alone, then the shallow one with the residual of the deep one."""
    loss = losses.KnowledgeReview(student=["a", "b"], teacher=["a", "b"], mid_channels=5)
    student, teacher = (
        random_features(0, a=(2, 3, 8, 8), b=(2, 4, 4, 4)), random_features(1, a=(2, 6, 8, 8), b=(2, 7, 4, 4)),
    )  # fmt: skip
    loss.build_adapters(student, teacher)
    loss.double().eval()
    shallow, deep = loss.fusions
    assert deep.attention is None
    with torch.no_grad():
        residual = deep.reduce(student["b"])
        expected = hierarchical_context_loss(deep.expand(residual), teacher["b"], [2, 1])
        reduced, resized = shallow.reduce(student["a"]), residual.repeat_interleave(2, 2).repeat_interleave(2, 3)
        weights = torch.sigmoid(shallow.attention[0](torch.cat([reduced, resized], 1)))
        fused = reduced * weights[:, :1] + resized * weights[:, 1:]
        expected += hierarchical_context_loss(shallow.expand(fused), teacher["a"], [4, 2, 1])
        assert float(loss(student, teacher, torch.zeros(2))) == pytest.approx(float(expected), rel=1e-9)


def hierarchical_context_loss(student: Tensor, teacher: Tensor, sides: list[int]) -> Tensor:
    """Return the mean squared error at full size and of means over ever larger squares, each with half the weight."""
    total, weights = ((student - teacher) ** 2).mean(), 1.0
    for level, side in enumerate(sides, 1):
        step = student.shape[2] // side
        pooled = [f.reshape(*f.shape[:2], side, step, side, step).mean((3, 5)) for f in (student, teacher)]
        total, weights = total + ((pooled[0] - pooled[1]) ** 2).mean() / 2**level, weights + 1 / 2**level
    return total / weights


def test_feature_paths_that_form_no_pairs_are_an_error() -> None:
    student, teacher = random_features(0, a=(2, 3, 8, 8)), random_features(1, b=(2, 7, 4, 4))
    with pytest.raises(ValueError, match=r"student and teacher need the same number of feature paths.*: found 1 and 2"):
        losses.KnowledgeReview(student=["a"], teacher=["a", "b"])
    with pytest.raises(ValueError, match=r"the student's a is \(3, 8, 8\) and the teacher's b is \(7, 4, 4\)"):
        losses.KnowledgeReview(student=["a"], teacher=["b"]).build_adapters(student, teacher)


def test_knowledge_translation_is_a_reconstruction_error_and_the_norm_of_the_code() -> None:
    loss = losses.KnowledgeTranslation(teacher="t", rate=0.5, l1=0.01)
    teacher = random_features(2, t=(3, 6, 5, 5))
    loss.build_adapters(ModelOutputs(), teacher)
    loss.double().eval()
    with torch.no_grad():
        code = loss.encoder(teacher["t"])
        assert code.shape == (3, 3, 5, 5)
        expected = ((loss.decoder(code) - teacher["t"]) ** 2).mean() + 0.01 * code.abs().sum() / 3
        assert float(loss(ModelOutputs(), teacher, torch.zeros(3))) == pytest.approx(float(expected), rel=1e-9)


def test_knowledge_adaptation_compares_codes_and_affinities() -> None:
    """Against the equations with their HW x HW matrices. The encoder of the first stage stays unchanged."""
    first_stage = losses.KnowledgeTranslation(teacher="t", rate=0.5)
    student, teacher = random_features(3, s=(2, 4, 5, 5)), random_features(4, t=(2, 6, 5, 5))
    first_stage.build_adapters(student, teacher)
    loss = losses.KnowledgeAdaptation(student="s", teacher="t", rate=0.5, adaptation=50, affinity=2)
    loss.build_adapters(student, teacher)
    loss.load_state_dict(first_stage.state_dict(), strict=False)
    loss.double().train()
    assert not any(module.training for module in loss.encoder.modules())
    assert all(not parameter.requires_grad for parameter in loss.encoder.parameters())
    code = loss.encoder(teacher["t"])
    assert torch.equal(code, first_stage.encoder.double().eval()(teacher["t"]))
    adapted = loss.feature_adapter(student["s"])
    unit = [f.flatten(1) / f.flatten(1).norm(dim=1, keepdim=True) for f in (adapted, code)]
    expected = 50 * (unit[0] - unit[1]).abs().mean()
    related = loss.affinity_adapter(student["s"])
    for image in range(2):
        for channel in range(3):
            a, e = (f[image, channel].flatten() / f[image, channel].norm() for f in (related, code))
            expected = expected + 2 * (torch.outer(a, a) - torch.outer(e, e)).norm() / 25 / 2
    actual = loss(student, teacher, torch.zeros(2))
    assert actual.item() == pytest.approx(expected.item(), rel=1e-9)
    actual.backward()
    assert loss.affinity_adapter.weight.grad is not None
    assert torch.isfinite(loss.affinity_adapter.weight.grad).all()
    with pytest.raises(ValueError, match=r"the student's s is \(4, 5, 5\) and the teacher's t is \(6, 4, 4\)"):
        loss.build_adapters(student, random_features(4, t=(2, 6, 4, 4)))


def test_the_affinity_distance_of_equal_features_is_0_with_a_finite_gradient() -> None:
    feature = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    distance = affinity_distance(feature, feature.detach())
    distance.backward()
    assert distance.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(feature.grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "build", [losses.KnowledgeTranslation, lambda **rate: losses.KnowledgeAdaptation(student="s", **rate)]
)
@pytest.mark.parametrize("rate", [0, 1.5, -1])
def test_a_rate_outside_0_to_1_is_an_error(build: Callable[..., nn.Module], rate: float) -> None:
    with pytest.raises(ValueError, match=r"rate must be in \(0, 1\]"):
        build(teacher="t", rate=rate)


def test_ofd_is_a_partial_distance_and_its_margin_the_mean_of_negative_responses() -> None:
    teacher, margin = draw(2, 3, 2, 2), Margin(3).double()
    passed = margin(teacher)
    for channel in range(3):
        numbers = teacher[:, channel]
        expected = torch.maximum(numbers, numbers[numbers < 0].mean())
        torch.testing.assert_close(passed[:, channel], expected)
    more = draw(2, 3, 2, 2, seed=1)
    after = margin(more)[:, 0].min()
    both = torch.cat([teacher[:, 0], more[:, 0]])
    assert after.item() == pytest.approx(both[both < 0].mean().item())
    assert torch.equal(margin.eval()(teacher), margin(teacher))  # evaluation does not change the margin
    student, total = draw(2, 3, 2, 2, seed=2), 0.0
    for s, t in zip(student.flatten().tolist(), passed.flatten().tolist(), strict=True):
        total += 0.0 if s <= t <= 0 else (s - t) ** 2
    assert partial_distance(student, passed).item() == pytest.approx(total)


def test_ofd_gives_each_deeper_layer_twice_the_weight() -> None:
    loss = losses.OFD(student=["a", "b"], teacher=["a", "b"])
    student = {"a": draw(2, 3, 4, 4), "b": draw(2, 3, 4, 4, seed=3)}
    teacher = {"a": draw(2, 5, 4, 4, seed=1), "b": draw(2, 5, 4, 4, seed=2)}
    actual = value(loss, student, teacher)
    parts = []
    for path, connector, margin in zip("ab", loss.connectors, loss.margins, strict=True):
        margin.eval()
        parts.append(partial_distance(connector(student[path]), margin(teacher[path])).item() / 2)
    assert actual.item() == pytest.approx(parts[0] / 2 + parts[1])


def test_mgd_generates_the_teachers_feature_from_unmasked_pixels() -> None:
    loss = losses.MGD(student=["a"], teacher=["a"], mask=0.5)
    student, teacher = {"a": draw(2, 3, 4, 4)}, {"a": draw(2, 3, 4, 4, seed=1)}
    torch.manual_seed(4)
    masked = value(loss, student, teacher)
    loss.mask = 0.0
    unmasked = loss(ModelOutputs(None, student), ModelOutputs(None, teacher), None)
    generated = loss.generators[0](student["a"])
    assert unmasked.item() == pytest.approx((generated - teacher["a"]).square().sum().item() / 2)
    assert masked.item() != pytest.approx(unmasked.item())


def test_a_neuron_beyond_its_boundary_by_the_margin_adds_nothing() -> None:
    student, teacher = torch.tensor([[2.0, 0.5, -2.0, 0.5]]), torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    assert boundary_distance(student, teacher, 1.0).item() == pytest.approx(0 + 0.25 + 0 + 2.25)


def test_crd_draws_negatives_evenly_from_the_rows_of_other_classes() -> None:
    labels = torch.tensor([2, 0, 1, 0, 2, 2, 1, 0])
    loss = losses.CRD(student="a", teacher="a", negatives=4000)
    loss.prepare_split(TensorSplit(torch.zeros(8, 1), labels))
    torch.manual_seed(0)
    for label, drawn in zip([0, 1, 2], loss.draw(torch.tensor([0, 1, 2])), strict=True):
        counts = torch.bincount(drawn, minlength=8)
        assert (counts[labels == label] == 0).all()
        expected = 4000 / int((labels != label).sum())
        assert (counts[labels != label] - expected).abs().max() < 5 * math.sqrt(expected)


@pytest.mark.parametrize("labels", [torch.zeros(6, dtype=torch.int64), torch.rand(6), torch.zeros(6, 2)])
def test_crd_without_two_classes_is_an_error(labels: Tensor) -> None:
    with pytest.raises(UsageError, match="it needs one class per row, and at least two classes"):
        losses.CRD(student="a", teacher="a").prepare_split(TensorSplit(torch.zeros(6, 1), labels))


def test_rkd_of_one_row_is_0() -> None:
    actual = value(losses.RKD(student="a", teacher="a"), {"a": draw(1, 4)}, {"a": draw(1, 3, seed=1)})
    assert actual.item() == 0
