"""Reliability diagrams and confusion matrices of entry pages."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as reference_matrix

from harness.records.find_runs import read_all
from leaderboard.calibration import BINS, bins_of, calibration_error, confidences, diagram_of
from leaderboard.confusion_matrix import MOST_PAIRS, confusion_matrix
from leaderboard.predictions import predictions_of
from tests.leaderboard.conftest import EVIDENCE
from zoo.recipes import catalogue


def test_the_calibration_error_follows_its_equation() -> None:
    confidence, right = np.array([0.95, 0.95, 0.55, 0.6]), np.array([True, False, True, True])
    bins = bins_of(confidence, right)
    assert calibration_error(bins) == pytest.approx(0.5 * abs(0.5 - 0.95) + 0.5 * abs(1 - 0.575))


@given(st.lists(st.tuples(st.floats(0.01, 1), st.booleans()), min_size=1, max_size=50))
def test_every_prediction_is_in_one_bin_with_its_confidence(rows: list[tuple[float, bool]]) -> None:
    confidence, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    bins = bins_of(confidence, right)
    assert len(bins) == BINS
    assert sum(each.count for each in bins) == len(rows)
    assert all(each.low - 1e-9 <= each.confidence <= each.high + 1e-9 for each in bins if each.count)
    assert 0 <= calibration_error(bins) <= 1


def test_confidences_are_the_largest_probabilities_of_a_softmax() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], np.float32)) + 50
    assert confidences(logits) == pytest.approx([0.7, 0.5], abs=1e-5)


def test_the_diagram_lies_within_its_frame_and_names_its_numbers() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, 4)).astype(np.float32)
    diagram = diagram_of(logits, logits.argmax(1), rng.integers(0, 4, 300))
    assert all(diagram.left <= bar.x and bar.x + bar.width <= diagram.right for bar in diagram.bars)
    assert all(diagram.top - 1e-6 <= bar.y and bar.y + bar.height <= diagram.bottom + 0.02 for bar in diagram.bars)
    assert f"{diagram.ece:.4f}" in diagram.description


def test_the_matrix_equals_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    matrix = confusion_matrix(labels, predictions, 5)
    assert [[cell.count for cell in cells] for _, cells in matrix.rows] == reference_matrix(
        labels, predictions
    ).tolist()
    assert matrix.errors == (labels != predictions).sum()


def test_a_thousand_classes_give_the_most_confused_pairs() -> None:
    labels = np.array([*range(1000), *[7] * 5, *[8] * 3])
    predictions = np.array([*range(1000), *[9] * 5, *[1] * 3])
    matrix = confusion_matrix(labels, predictions, 1000)
    assert matrix.rows == ()
    assert [(pair.label, pair.predicted, pair.count, pair.of) for pair in matrix.pairs] == [
        ("7", "9", 5, 6), ("8", "1", 3, 4),
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    assert len(confusion_matrix(labels, rng.permutation(predictions), 1000).pairs) == MOST_PAIRS


def test_classes_without_examples_or_mistakes_are_counted() -> None:
    matrix = confusion_matrix(np.array([0, 0]), np.array([0, 0]), 3, ["a", "b", "c"])
    assert [total for total, _ in matrix.rows] == [2, 0, 0]
    assert (matrix.errors, matrix.names) == (0, ("a", "b", "c"))


def test_the_page_of_an_entry_shows_the_published_weights_and_its_recorded_errors(built_site: Path) -> None:
    html = (built_site / "entries" / "digits-resnet8.html").read_text()
    entry = catalogue.select_one("digits-resnet8")
    records = [run for run in read_all(EVIDENCE) if run[1].entry == entry.name]
    (found,) = predictions_of(entry, records)
    assert found.run == "the published weights"
    assert found.diagram is not None
    assert f"<b>{found.diagram.ece:.4f}</b>" in html
    assert f"{found.confusion.errors} of 898 predictions" in html
    assert len(re.findall('<rect class="accuracy"', html)) == len(found.diagram.bars)


def test_a_record_without_logits_has_only_a_confusion_matrix(tmp_path: Path) -> None:
    entry = catalogue.select_one("digits-resnet8")
    path, record = next(run for run in read_all(EVIDENCE) if run[1].entry == entry.name)
    arrays = dict(np.load(path.parent / record.results[0].predictions["file"]))
    del arrays["logits"]
    np.savez(tmp_path / record.results[0].predictions["file"], **arrays)
    (found,) = predictions_of(entry, [(tmp_path / "record.json", record)])
    assert found.diagram is None
    assert "no logits" in found.why
    assert found.confusion.n == 898


def test_logits_of_one_column_give_no_diagram(tmp_path: Path) -> None:
    entry = catalogue.select_one("digits-resnet8")
    path, record = next(run for run in read_all(EVIDENCE) if run[1].entry == entry.name)
    file = record.results[0].predictions["file"]
    arrays = dict(np.load(path.parent / file))
    np.savez(tmp_path / file, **{**arrays, "logits": arrays["logits"][:, :1]})
    (found,) = predictions_of(entry, [(tmp_path / "record.json", record)])
    assert found.diagram is None
    assert found.why.startswith("The logits in the record have no column for each class")


def test_a_regression_has_no_classes_to_confuse() -> None:
    entry = catalogue.select_one("minilm-l6-stsb")
    records = [run for run in read_all(EVIDENCE) if run[1].entry == entry.name]
    assert records
    assert predictions_of(entry, records) == []
