"""F1 of several labels at once, per class and averaged, as scikit-learn computes it."""

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import f1_score

from harness import metrics
from harness.judging.baselines import majority_baseline
from harness.metrics import Array

EDGES = [np.zeros((3, 3)), np.ones((3, 3)), np.eye(3), np.eye(3)[::-1], np.eye(3)[[0, 0, 1]], np.zeros((1, 2))]


def pairs() -> list[tuple[Array, Array]]:
    """Return predictions and labels: 200 random ones of every density, and all pairs of edge cases of one shape."""
    random = np.random.default_rng(0)
    found: list[tuple[Array, Array]] = []
    for _ in range(200):
        shape = (int(random.integers(1, 40)), int(random.integers(2, 8)))
        found.append(tuple((random.random(shape) < random.random()).astype(np.int64) for _ in range(2)))  # type: ignore[arg-type]
    return found + [(a.astype(np.int64), b.astype(np.int64)) for a in EDGES for b in EDGES if a.shape == b.shape]


def test_f1_of_labels_equals_that_of_scikit_learn() -> None:
    assert len(pairs()) > 200
    for predictions, labels in pairs():
        for name in ("micro", "macro"):
            expected = f1_score(labels, predictions, average=name, zero_division=0.0)
            assert getattr(metrics, f"f1_{name}")(predictions, labels) == pytest.approx(expected, abs=1e-12)
        of_classes = f1_score(labels, predictions, average=None, zero_division=0.0)
        found = [metrics.f1_of_class(predictions, labels, label=number) for number in range(labels.shape[1])]
        assert found == pytest.approx(of_classes, abs=1e-12)


def test_f1_of_one_class_equals_that_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        predictions, labels = random.integers(0, 4, (2, int(random.integers(1, 30))))
        expected = f1_score(labels, predictions, labels=[2], average=None, zero_division=0.0)[0]
        assert metrics.f1_of_class(predictions, labels, label=2) == pytest.approx(expected, abs=1e-12)
    assert metrics.f1_macro(predictions, labels) == metrics.f1(predictions, labels, average="macro")


def test_no_labels_that_are_the_same_for_every_row_score_more_than_the_baseline() -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        labels = (random.random((12, 4)) < random.random(4)).astype(np.float32)
        constant = [np.tile(row, (12, 1)) for row in product((0, 1), repeat=4)]
        for name in ("f1_micro", "f1_macro"):
            best = max(getattr(metrics, name)(predictions, labels) for predictions in constant)
            assert majority_baseline(name, labels) == pytest.approx(best)
