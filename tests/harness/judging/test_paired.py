"""Comparison of two sets of predictions: flips, McNemar's test and drift, by hand and by their properties."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from harness.judging.paired import EDGES, Array, find_flips, group_sign_test, measure_drift, sign_test
from zoo.errors import UsageError


def classified(logits: list[list[float]], labels: list[int]) -> dict[str, Array]:
    array = np.array(logits, np.float32)
    return {"predictions": array.argmax(axis=1), "labels": np.array(labels), "logits": array}


A = classified([[2.0, 1.0], [0.0, 3.0], [1.0, 0.5], [0.2, 0.1]], [0, 0, 0, 1])
B = classified([[2.5, 1.0], [1.0, 0.0], [1.0, 1.5], [0.1, 0.2]], [0, 0, 0, 1])


def test_flips_match_an_example_worked_out_by_hand() -> None:
    found = find_flips(A, B)
    assert (found.n, found.flipped, found.gained, found.lost) == (4, 3, 2, 1)
    assert found.rows.tolist() == [1, 2, 3]
    assert found.margins_a == pytest.approx([3.0, 0.5, 0.1])
    assert found.margins_b == pytest.approx([1.0, 0.5, 0.1])
    assert found.p == 1.0  # 2 (C(3, 0) + C(3, 1)) / 2^3


@pytest.mark.parametrize(("noise", "unexplained"), [(0.0, 3), (0.0999, 3), (0.1001, 2), (0.51, 1), (2.01, 0)])
def test_noise_explains_a_flip_if_both_margins_together_are_within_it(noise: float, unexplained: int) -> None:
    assert find_flips(A, B).unexplained(noise) == unexplained  # sums of both margins: 4, 1 and 0.2, over two logits


def test_a_flip_without_a_margin_is_unexplained() -> None:
    bare = [{name: arrays[name] for name in ("predictions", "labels")} for arrays in (A, B)]
    found = find_flips(*bare)
    assert np.isnan(found.margins_a).all()
    assert found.unexplained(1e9) == 3
    with_margins = {**bare[0], "margins": np.array([1.0, 3.0, 0.5, 0.1], np.float32)}
    assert find_flips(with_margins, bare[1]).unexplained(0.3) == 1  # the margins of A alone: 3, 0.5 and 0.1


def test_a_multi_label_row_flips_if_any_label_flips_and_is_right_if_all_labels_are() -> None:
    def arrays(logits: list[list[float]]) -> dict[str, Array]:
        array = np.array(logits)
        labels = np.array([[1, 0], [0, 1], [1, 1]])
        return {"predictions": (array > 0).astype(np.int64), "labels": labels, "logits": array}

    found = find_flips(arrays([[1, -1], [0.2, 1], [-3, -1]]), arrays([[2, -2], [-0.1, 1], [-3, 2]]))
    assert (found.flipped, found.gained, found.lost) == (2, 1, 0)
    assert (found.margins_a.tolist(), found.margins_b.tolist()) == ([0.2, 1.0], [0.1, 2.0])
    assert [found.unexplained(noise) for noise in (0.29, 0.31, 3.0)] == [2, 1, 0]  # one logit moves against zero


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (A, {**B, "labels": np.array([0, 0, 1, 1])}, "not the same examples: 1 of 4 labels"),
        (A, {name: values[:3] for name, values in B.items()}, "not the same examples: 4 and 3"),
        (
            {"confusion": np.zeros((4, 2, 2))},
            {"confusion": np.zeros((4, 2, 2))},
            "no predictions of each example",
        ),
        ({**A, "predictions": np.zeros(4)}, {**B, "predictions": np.ones(4)}, "they can drift but not flip"),
        (A, {**B, "predictions": np.zeros((4, 2), np.int64)}, "not the same task"),
    ],
)
def test_predictions_that_cannot_be_compared_raise(a: dict[str, Array], b: dict[str, Array], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_flips(a, b)


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [(0, 0, 1), (5, 0, 2 / 32), (0, 6, 2 / 64), (8, 1, 2 * 10 / 512), (3, 3, 1), (2, 7, 2 * (1 + 9 + 36) / 512)],
)
def test_sign_test_matches_examples_of_mcnemars_exact_test(gained: int, lost: int, p: float) -> None:
    assert sign_test(gained, lost) == pytest.approx(p, rel=1e-12)


@given(st.integers(0, 400), st.integers(0, 400))
def test_sign_test_is_symmetric_and_equals_the_binomial_sum(gained: int, lost: int) -> None:
    n = gained + lost
    exact = min(1.0, 2 * sum(comb(n, k) for k in range(max(gained, lost), n + 1)) / 2**n)
    assert sign_test(gained, lost) == pytest.approx(exact, rel=1e-9)
    assert sign_test(gained, lost) == sign_test(lost, gained)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_sign_test_of_groups_counts_all_signs_of_their_sums(rows: list[tuple[int, int]]) -> None:
    changes, ids = (np.array(column) for column in zip(*rows, strict=True))
    sums = np.bincount(ids, weights=changes)
    totals = [
        abs(sum(sign * of_group for sign, of_group in zip(signs, sums, strict=True)))
        for signs in product((-1, 1), repeat=len(sums))
    ]
    p = group_sign_test(changes, ids)
    assert p == pytest.approx(np.mean(np.array(totals) >= abs(sums.sum())))
    assert group_sign_test(np.repeat(changes, 3), np.repeat(ids, 3)) == pytest.approx(p)
    single = group_sign_test(changes, np.arange(len(changes)))
    assert single == pytest.approx(sign_test(int(np.sum(changes > 0)), int(np.sum(changes < 0))))


def test_drift_matches_an_example_worked_out_by_hand() -> None:
    found = measure_drift(A, B)
    assert found is not None and found.of == "logits"
    moved = [0.5, 0, 1, 3, 0, 1, 0.1, 0.1]
    assert (found.max, found.mean) == (pytest.approx(3), pytest.approx(sum(moved) / 8))
    assert found.p99 == pytest.approx(np.percentile(moved, 99), rel=1e-6)
    assert len(found.counts) == len(EDGES) + 1 and sum(found.counts) == 8
    assert found.counts[0] == 2 and found.counts[-2] == 3  # the bins below 1e-7 and from 1 to 10


def test_the_drift_of_a_regression_is_that_of_its_predictions() -> None:
    found = measure_drift(
        {"predictions": np.array([1.0, 2.0]), "labels": np.zeros(2)},
        {"predictions": np.array([1.5, 2.0]), "labels": np.zeros(2)},
    )
    assert found is not None and (found.of, found.max) == ("predictions", 0.5)
    bare = {name: A[name] for name in ("predictions", "labels")}
    assert measure_drift(bare, bare) is None


LOGITS = st_numpy.arrays(np.float32, (12, 3), elements=st.floats(-4, 4, width=32))
LABELS = st_numpy.arrays(np.int64, 12, elements=st.integers(0, 2))


@settings(max_examples=40)
@given(LOGITS, LOGITS, LABELS)
def test_swapping_the_sets_swaps_gained_and_lost_and_a_set_equals_itself(
    first: Array, second: Array, labels: Array
) -> None:
    a, b = ({"predictions": x.argmax(axis=1), "labels": labels, "logits": x} for x in (first, second))
    forward, backward = find_flips(a, b), find_flips(b, a)
    assert (forward.gained, forward.lost, forward.p) == (backward.lost, backward.gained, backward.p)
    assert np.array_equal(forward.margins_a, backward.margins_b) and np.array_equal(forward.rows, backward.rows)
    assert measure_drift(a, b) == measure_drift(b, a)
    itself, still = find_flips(a, a), measure_drift(a, a)
    assert (itself.flipped, itself.p, itself.unexplained(0.0)) == (0, 1.0, 0)
    assert still is not None and (still.max, still.mean, still.p99) == (0, 0, 0)
    assert forward.gained - forward.lost == int(np.sum(b["predictions"] == labels) - np.sum(a["predictions"] == labels))


@settings(max_examples=40)
@given(LOGITS, st_numpy.arrays(np.float32, (12, 3), elements=st.floats(-0.25, 0.25, width=32)), LABELS)
def test_noise_explains_every_flip_that_it_causes(logits: Array, noise: Array, labels: Array) -> None:
    a, b = ({"predictions": x.argmax(axis=1), "labels": labels, "logits": x} for x in (logits, logits + noise))
    moved = measure_drift(a, b)
    assert moved is not None
    assert find_flips(a, b).unexplained(moved.max * (1 + 1e-6)) == 0
