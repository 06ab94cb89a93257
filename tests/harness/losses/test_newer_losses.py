"""The losses that torchdistill has not, against their papers' equations, written out in NumPy row by row."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.models.outputs import ModelOutputs
from tests.helpers.available_losses import L, part_of
from zoo.errors import UsageError
from zoo.tasks.base import TensorSplit

Floats = NDArray[np.float64]
GENERATOR = np.random.default_rng(11)
boundary_distance = part_of("activation_boundaries", "boundary_distance")
Margin, partial_distance = part_of("ofd", "Margin"), part_of("ofd", "partial_distance")
STUDENT, TEACHER = GENERATOR.normal(size=(5, 4)), 2 * GENERATOR.normal(size=(5, 4))
LABELS = np.array([0, 3, 1, 1, 2])


def softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def kl(p: Floats, q: Floats) -> Floats:
    return (p * np.log(p / q)).sum(-1)


def value(loss: nn.Module, student: Floats = STUDENT, teacher: Floats = TEACHER) -> float:
    seen = (ModelOutputs(torch.tensor(one)) for one in (student, teacher))
    return float(loss(*seen, torch.tensor(LABELS)))


def tapped(loss: nn.Module, student: dict[str, Tensor], teacher: dict[str, Tensor]) -> Tensor:
    seen = ModelOutputs(None, student), ModelOutputs(None, teacher)
    if hasattr(loss, "build_adapters"):
        loss.build_adapters(*seen)
    loss.double()
    found: Tensor = loss(*seen, torch.zeros(2))
    return found


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_dkd_is_equation_7() -> None:
    expected = 0.0
    for s, t, y in zip(softmax(STUDENT / 4), softmax(TEACHER / 4), LABELS, strict=True):
        binary = [np.array([p[y], 1 - p[y]]) for p in (t, s)]
        others = [np.delete(p, y) / (1 - p[y]) for p in (t, s)]
        expected += 16 * (0.5 * kl(*binary) + 3 * kl(*others)) / len(LABELS)
    assert value(L.DKD(temperature=4, alpha=0.5, beta=3)) == pytest.approx(expected, rel=1e-9)


def test_dkd_decouples_kd() -> None:
    """Equation 6: KD is TCKD and `(1 - p_y) NCKD`, here of one row."""
    s, t, y = STUDENT[:1], TEACHER[:1], LABELS[0]
    weight = 1 - softmax(t / 4)[0, y]
    seen = (ModelOutputs(torch.tensor(one)) for one in (s, t))
    whole = float(L.DKD(temperature=4, alpha=1, beta=weight)(*seen, torch.tensor([y])))
    assert whole == pytest.approx(16 * float(kl(softmax(t / 4), softmax(s / 4))[0]), rel=1e-9)


def test_nkd_is_equation_6() -> None:
    p, q, pt, qt = softmax(TEACHER), softmax(STUDENT), softmax(TEACHER / 2), softmax(STUDENT / 2)
    expected = 0.0
    for i, y in enumerate(LABELS):
        n, m = np.delete(pt[i], y) / (1 - pt[i, y]), np.delete(qt[i], y) / (1 - qt[i, y])
        expected -= (p[i, y] * np.log(q[i, y]) + 1.5 * 4 * (n * np.log(m)).sum()) / len(LABELS)
    assert value(L.NKD(temperature=2, gamma=1.5)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_ttm_gives_the_teacher_alone_a_temperature(weighted: bool) -> None:
    weights = (softmax(TEACHER) ** (1 / 3)).sum(1) if weighted else 1
    expected = (weights * kl(softmax(TEACHER / 3), softmax(STUDENT))).mean()
    assert value(L.TTM(temperature=3, weighted=weighted)) == pytest.approx(expected, rel=1e-9)


def test_the_transformed_teacher_is_its_power_normalised() -> None:
    """What TTM is named for: softmax(t / T) is p^(1/T) over its sum."""
    power = softmax(TEACHER) ** (1 / 3)
    assert np.allclose(softmax(TEACHER / 3), power / power.sum(1, keepdims=True), rtol=1e-12)


def test_abkd_is_the_alpha_beta_divergence_and_leads_to_both_of_kullback_and_leibler() -> None:
    p, q, a, b = softmax(TEACHER / 2), softmax(STUDENT / 2), 0.7, 0.4
    inner = p**a * q**b - a / (a + b) * p ** (a + b) - b / (a + b) * q ** (a + b)
    assert value(L.ABKD(temperature=2, alpha=a, beta=b)) == pytest.approx(-4 / (a * b) * inner.sum(1).mean(), rel=1e-9)
    forward, reverse = L.ABKD(temperature=2, alpha=1, beta=1e-6), L.ABKD(temperature=2, alpha=1e-6, beta=1)
    assert value(forward) == pytest.approx(4 * kl(p, q).mean(), rel=1e-4)
    assert value(reverse) == pytest.approx(4 * kl(q, p).mean(), rel=1e-4)


def test_a_virtual_teacher_is_right_and_otherwise_even() -> None:
    expected = 0.0
    for s, y in zip(STUDENT, LABELS, strict=True):
        virtual = np.full(4, 0.01 / 3)
        virtual[y] = 0.99
        soft = virtual ** (1 / 20) / (virtual ** (1 / 20)).sum()
        expected += (0.9 * -np.log(softmax(s)[y]) + 0.1 * kl(soft, softmax(s / 20))) / len(LABELS)
    assert value(L.VirtualTeacher(alpha=0.1, temperature=20, correct=0.99)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("correction", [0, 1])
def test_standardised_logits_have_the_deviation_of_the_code_or_of_the_algorithm(correction: int) -> None:
    mine, theirs = (
        (x - x.mean(1, keepdims=True)) / (1e-7 + x.std(1, ddof=correction, keepdims=True)) for x in (STUDENT, TEACHER)
    )
    expected = 4 * kl(softmax(theirs / 2), softmax(mine / 2)).mean()
    loss = L.LogitStandardizedKD(temperature=2, alpha=0, correction=correction)
    assert value(loss) == pytest.approx(expected, rel=1e-9)


def test_a_class_that_the_teacher_rules_out_counts_as_nothing() -> None:
    teacher = TEACHER.copy()
    teacher[:, 2] = -np.inf
    kept = [np.delete(x, 2, axis=1) for x in (teacher, softmax(STUDENT))]
    expected = (softmax(kept[0]) * np.log(softmax(kept[0]) / kept[1])).sum(1).mean()
    assert value(L.KL(), STUDENT, teacher) == pytest.approx(expected, rel=1e-9)
    assert math.isfinite(value(L.KD(temperature=2, alpha=0.5), STUDENT, teacher))


def test_the_cosine_of_features_of_one_width_needs_no_adapter() -> None:
    s, t = draw(3, 4), draw(3, 4, seed=1)
    cosines = [float(a @ b / (a.norm() * b.norm())) for a, b in zip(s, t, strict=True)]
    loss = L.FeatureCosine(student="a", teacher="a")
    assert float(tapped(loss, {"a": s}, {"a": t})) == pytest.approx(1 - np.mean(cosines), rel=1e-9)
    assert not list(loss.parameters())


def test_ofd_is_partial_and_its_margin_the_mean_of_what_is_negative() -> None:
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
    assert torch.equal(margin.eval()(teacher), margin(teacher))  # in evaluation it learns no more
    student, total = draw(2, 3, 2, 2, seed=2), 0.0
    for s, t in zip(student.flatten().tolist(), passed.flatten().tolist(), strict=True):
        total += 0.0 if s <= t <= 0 else (s - t) ** 2
    assert partial_distance(student, passed).item() == pytest.approx(total)


def test_ofd_weighs_deeper_layers_twice_as_much() -> None:
    loss = L.OFD(student=["a", "b"], teacher=["a", "b"])
    student = {"a": draw(2, 3, 4, 4), "b": draw(2, 3, 4, 4, seed=3)}
    teacher = {"a": draw(2, 5, 4, 4, seed=1), "b": draw(2, 5, 4, 4, seed=2)}
    found = tapped(loss, student, teacher)
    parts = []
    for tap, connector, margin in zip("ab", loss.connectors, loss.margins, strict=True):
        margin.eval()
        parts.append(partial_distance(connector(student[tap]), margin(teacher[tap])).item() / 2)
    assert found.item() == pytest.approx(parts[0] / 2 + parts[1])


def test_mgd_makes_the_teachers_feature_of_what_is_left() -> None:
    loss = L.MGD(student=["a"], teacher=["a"], mask=0.5)
    student, teacher = {"a": draw(2, 3, 4, 4)}, {"a": draw(2, 3, 4, 4, seed=1)}
    torch.manual_seed(4)
    found = tapped(loss, student, teacher)
    loss.mask = 0.0
    whole = loss(ModelOutputs(None, student), ModelOutputs(None, teacher), None)
    made = loss.generators[0](student["a"])
    assert whole.item() == pytest.approx((made - teacher["a"]).square().sum().item() / 2)
    assert found.item() != pytest.approx(whole.item())


def test_patient_kd_compares_first_tokens_of_unit_length() -> None:
    s, t = draw(2, 3, 4), draw(2, 3, 4, seed=1)
    units = [x[:, 0] / x[:, 0].norm(dim=1, keepdim=True) for x in (s, t)]
    expected = (units[0] - units[1]).square().sum() / 2
    loss = L.PatientKD(student=["h"], teacher=["h"])
    assert tapped(loss, {"h": s}, {"h": t}).item() == pytest.approx(expected.item())


def transformer(seed: int, width: int) -> dict[str, Tensor]:
    return {f"block.{name}": draw(2, 3, width, seed=seed + i) for i, name in enumerate(("query", "key", "value"))}


MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])
LENGTHS = (3, 2)


def head(projection: Tensor, row: int, head: int) -> Floats:
    """A head of two of one row, without padding."""
    width = projection.shape[-1] // 2
    found: Floats = projection[row, : LENGTHS[row], head * width : (head + 1) * width].numpy()
    return found


def test_minilm_is_attention_and_value_relations_without_padding() -> None:
    student, teacher = transformer(0, 4), transformer(10, 8)
    attention, relation = [], []
    for row, h in product(range(2), range(2)):
        for pairs, rows in ((("query", "key"), attention), (("value", "value"), relation)):
            scores = []
            for one in (teacher, student):
                a, b = (head(one[f"block.{name}"], row, h) for name in pairs)
                scores.append(softmax(a @ b.T / math.sqrt(a.shape[1])))
            rows.extend(kl(*scores).tolist())
    expected = np.mean(attention) + np.mean(relation)
    loss = L.MiniLM(student="block", teacher="block", heads=2)
    found = tapped(loss, {**student, ":input.attention_mask": MASK}, teacher)
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_tinybert_is_attention_scores_and_hidden_states_without_padding() -> None:
    student, teacher = transformer(0, 4), transformer(10, 8)
    student |= {"h": draw(2, 3, 4, seed=20)}
    teacher |= {"h": draw(2, 3, 4, seed=21)}
    squares = []
    for row, h in product(range(2), range(2)):
        scores = []
        for one in (student, teacher):
            q, k = (head(one[f"block.{name}"], row, h) for name in ("query", "key"))
            scores.append(q @ k.T / math.sqrt(q.shape[1]))
        squares += (scores[0] - scores[1]).ravel().tolist()
    hidden = [(student["h"][row, :n] - teacher["h"][row, :n]).flatten() for row, n in enumerate(LENGTHS)]
    expected = np.mean(np.square(squares)) + torch.cat(hidden).square().mean().item()
    loss = L.TinyBERT(student_layers=["block"], teacher_layers=["block"], student=["h"], teacher=["h"], heads=2)
    found = tapped(loss, {**student, ":input.attention_mask": MASK}, teacher)
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_heads_that_do_not_divide_a_width_are_refused() -> None:
    loss = L.MiniLM(student="block", teacher="block", heads=3)
    with pytest.raises(ValueError, match=r"3 heads do not divide \(T, D\) = \(3, 4\)"):
        tapped(loss, {**transformer(0, 4), ":input.attention_mask": MASK}, transformer(0, 6))


def test_a_boundary_is_crossed_by_the_margin_or_counts() -> None:
    student, teacher = torch.tensor([[2.0, 0.5, -2.0, 0.5]]), torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    assert boundary_distance(student, teacher, 1.0).item() == pytest.approx(0 + 0.25 + 0 + 2.25)


def test_crd_draws_evenly_from_the_rows_of_other_classes() -> None:
    labels = torch.tensor([2, 0, 1, 0, 2, 2, 1, 0])
    loss = L.CRD(student="a", teacher="a", negatives=4000)
    loss.prepare_split(TensorSplit(torch.zeros(8, 1), labels))
    torch.manual_seed(0)
    for label, drawn in zip([0, 1, 2], loss.draw(torch.tensor([0, 1, 2])), strict=True):
        counts = torch.bincount(drawn, minlength=8)
        assert (counts[labels == label] == 0).all()
        expected = 4000 / int((labels != label).sum())
        assert (counts[labels != label] - expected).abs().max() < 5 * math.sqrt(expected)


@pytest.mark.parametrize("labels", [torch.zeros(6, dtype=torch.int64), torch.rand(6), torch.zeros(6, 2)])
def test_crd_needs_classes(labels: Tensor) -> None:
    with pytest.raises(UsageError, match="it needs one class a row, and two of them"):
        L.CRD(student="a", teacher="a").prepare_split(TensorSplit(torch.zeros(6, 1), labels))


def test_one_row_has_no_relations() -> None:
    found = tapped(L.RKD(student="a", teacher="a"), {"a": draw(1, 4)}, {"a": draw(1, 3, seed=1)})
    assert found.item() == 0
