"""The check whether a model's classes are in the order of the data's."""

import numpy as np
import pytest

from harness.evaluation.label_order import findings, sign_test

NAMES = ("entailment", "not_entailment")
UNNAMED = {0: "LABEL_0", 1: "LABEL_1"}


def test_predictions_with_swapped_classes_are_reported() -> None:
    """Predictions that are right on nine rows in ten after the two classes are swapped."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    swapped = np.where(rng.random(200) < 0.9, 1 - labels, labels)
    (finding,) = findings(UNNAMED, NAMES, swapped, labels)
    assert "if entailment is not_entailment, not_entailment is entailment" in finding
    right = np.where(rng.random(200) < 0.6, labels, 1 - labels)
    assert findings(UNNAMED, NAMES, right, labels) == ()


def test_class_names_in_another_order_are_reported() -> None:
    labels = np.arange(200) % 2
    (finding,) = findings({0: "not_entailment", 1: "Entailment"}, NAMES, labels, labels)
    assert finding.startswith("label order: the model names its classes not_entailment, entailment")


def test_the_sign_test_is_two_sided_and_exact() -> None:
    assert sign_test(0, 0) == 1
    assert sign_test(5, 0) == pytest.approx(2 / 32)
    assert sign_test(8, 1) == pytest.approx(2 * (9 + 1) / 512)
