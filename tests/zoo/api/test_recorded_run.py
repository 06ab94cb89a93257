"""Recorded runs as tables."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zoo
from tests.helpers.project import Write


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store the runs of each test in a separate folder."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def test_a_training_has_tables_of_scores_predictions_and_its_log(recipe_file: Write) -> None:
    trained = zoo.train(str(recipe_file()), seed=3, out="mine", score_epochs=True)
    run = zoo.read_record("mine")
    assert run.record == zoo.read_record(trained.record).record == zoo.read_record("tiny.yaml:3").record
    assert run.to_frame().equals(trained.to_frame())
    predictions, log = run.predictions_frame(), run.log_frame()
    assert list(predictions.columns) == ["prediction", "label", *(f"logit_{i}" for i in range(10)), "right"]
    assert predictions["right"].mean() == trained.scores[0].value
    assert (predictions.filter(like="logit_").to_numpy().argmax(axis=1) == predictions["prediction"]).all()
    assert log["losses.total"].notna().sum() == log["step"].max()
    assert log["scores.test.accuracy"].dropna().tolist() == [trained.scores[0].value]


def test_an_evaluation_has_no_log_and_an_unknown_split_is_reported() -> None:
    run = zoo.read_record(zoo.reproduce("digits-resnet8").records[0])
    with pytest.raises(zoo.SourceError, match="only trainings on this machine have a log"):
        run.log_frame()
    with pytest.raises(zoo.UsageError, match="has no split 'tset'; did you mean test"):
        run.predictions_frame("tset")


def test_arrays_of_boxes_are_no_table() -> None:
    run = zoo.read_record(zoo.reproduce("digits-resnet8").records[0])
    (result,) = run.record.results
    np.savez(run.path.parent / "boxes.npz", detections=np.zeros((2, 3, 6)))
    boxes = replace(run.record, results=(replace(result, predictions={"file": "boxes.npz"}),))
    with pytest.raises(zoo.UsageError, match=r"array 'detections' \(2, 3, 6\) is no table"):
        replace(run, record=boxes).predictions_frame()


def test_a_record_that_was_edited_is_refused() -> None:
    path = zoo.reproduce("digits-resnet8").records[0]
    path.write_text(path.read_text().replace("0.978", "0.998"))
    with pytest.raises(zoo.IntegrityError, match="changed after the run"):
        zoo.read_record(path)
