"""Scores at chance level are remarked: of constant predictions, and of others no better than one class."""

from typing import Any

import numpy as np
import pytest

from harness.judging.chance import chance_remarks

RTE = np.repeat([0, 1], [146, 131])
NAMES = ("entailment", "not_entailment")
HALF = np.arange(277) % 2


def remarks(predictions: Any, labels: Any, names: tuple[str, ...] = NAMES, **scores: float | None) -> list[str]:
    arrays = {"predictions": np.array(predictions), "labels": np.array(labels)}
    found = chance_remarks("validation", arrays, scores, recipe={}, class_names=names)
    return [remark.removeprefix("chance level: ") for remark in found]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            remarks(0 * RTE, RTE, accuracy=146 / 277),
            "all 277 predictions on validation are class 'entailment': the model has not learned"
            " (accuracy 0.5271 is the majority rate)",
        ),
        (
            remarks(0 * RTE + 1, RTE, accuracy=131 / 277, matthews_correlation=0.0),
            "all 277 predictions on validation are class 'not_entailment': the model has not learned"
            " (accuracy 0.4729, of the most frequent class 0.5271; matthews_correlation is 0.0000)",
        ),
        (
            remarks(HALF, RTE, accuracy=0.55),
            "accuracy 0.5500 on validation is no better than always predicting 'entailment', 0.5271"
            " (sampling error of 277 rows: 0.0493)",
        ),
        (
            remarks(np.full(4, 2.5, np.float32), np.arange(4.0), pearson=None),
            "all 4 predictions on validation are 2.5: the model has not learned (pearson is not defined)",
        ),
        (
            remarks(np.arange(100.0), np.arange(100.0)[::-1], spearman=0.1),
            "spearman 0.1000 on validation is no better than 0 (sampling error of 100 rows: 0.1645)",
        ),
        (
            remarks(np.zeros((3, 2), int), np.eye(3, 2), ("a", "b"), f1_micro=0.0),
            "all 3 predictions on validation are without any class: the model has not learned (f1_micro 0.0000, of the"
            " same classes for every row 0.5000)",
        ),
        (
            remarks(np.eye(3, 2, dtype=int)[[1, 0, 2]], np.eye(3, 2), ("a", "b"), f1_micro=0.25, f1_macro=0.75),
            "f1_micro 0.2500 on validation is no better than always predicting the same classes for every row, 0.5000",
        ),
        (
            remarks(HALF, RTE, f1=0.0),
            "f1 0.0000 on validation is no better than always predicting 'entailment', 0.0000",
        ),
    ],
)
def test_a_score_at_chance_level_is_remarked_in_plain_words(found: list[str], expected: str) -> None:
    assert found == [expected]


def test_scores_above_chance_are_not_remarked() -> None:
    assert not remarks(HALF, RTE, accuracy=0.6, matthews_correlation=0.2)
    assert not remarks([0, 0], [0, 0], accuracy=1.0)  # these labels cannot show what was learned
    assert not remarks(0 * RTE, RTE, odd=0.1)[1:]
    arrays = {"predictions": HALF, "labels": RTE, "not_finite": HALF == 1}
    assert not chance_remarks("validation", arrays, {"accuracy": None}, recipe={})
    rare = np.arange(10_000) < 100  # 12 of the 100 rows of the rare class are found, and no other row is wrong
    found = {"predictions": (np.arange(10_000) < 12).astype(int), "labels": rare.astype(int)}
    assert not chance_remarks("validation", found, {"accuracy": 0.9912}, recipe={})
    found["predictions"][500:506] = 1  # 12 against 6 rows can be luck
    assert chance_remarks("validation", found, {"accuracy": 0.9906}, recipe={})
    weighted = {"metrics": [{"use": "f1", "average": "macro"}]}
    assert not chance_remarks("validation", {"predictions": HALF, "labels": RTE}, {"f1": 0.0}, recipe=weighted)


def test_a_segmentation_that_predicts_one_class_everywhere_is_remarked() -> None:
    confusion = np.zeros((2, 3, 3), int)
    confusion[:, :2, 0] = 70, 30
    scores = {"mean_iou": None, "pixel_accuracy": 0.7}
    (remark,) = chance_remarks("val", {"confusion": confusion}, scores, recipe={}, class_names=("sky", "dog", "cat"))
    assert "all pixels on val are predicted as 'sky': the model has not learned (pixel_accuracy 0.7000" in remark
