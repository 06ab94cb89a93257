"""Metrics are tried before a training, and a change of metrics scores the training that is there again."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.project import TINY, CompletedCommand, Write, Zoo

TRAINED = TINY.replace("batch_size: 64", "batch_size: 256")
MACRO_F1 = "task: digits\nmetrics: [accuracy, {use: f1, average: macro}]\n"
CHANGED = ("task: digits\n", MACRO_F1)


@pytest.fixture
def without_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every step of a training fail."""

    def fail(*_: object) -> None:
        raise AssertionError("a training step was taken")

    monkeypatch.setattr("harness.training.train.accumulate_gradients", fail)


def record_in(completed: CompletedCommand) -> Path:
    assert completed.code == 0, completed.err
    return Path(json.loads(completed.out)["record"])


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        ("[accuracy, f1]", "the metric 'f1' cannot be computed on the split 'test': Target is multiclass"),
        ("[mean_iou]", "it reads 'confusion', which a task of the kind 'classification' does not have"),
        ("[{use: f1, average: average}]", "the metric 'f1' cannot be computed on the split 'test'"),
    ],
)
@pytest.mark.usefixtures("without_training")
def test_a_metric_that_cannot_be_computed_is_reported_before_any_step(
    zoo: Zoo, recipe_file: Write, metrics: str, problem: str
) -> None:
    path = recipe_file(TRAINED, ("task: digits\n", f"task: digits\nmetrics: {metrics}\n"))
    completed = zoo("train", path)
    assert completed.code == 2
    assert f"{path}:3:" in completed.err
    assert problem in completed.err


@pytest.mark.parametrize("stage", ["", "    selection: best\n    selected_by: [accuracy]\n"])
def test_a_change_of_only_the_metrics_scores_the_training_again(
    zoo: Zoo, recipe_file: Write, request: pytest.FixtureRequest, stage: str
) -> None:
    text = TRAINED + stage if not stage else TRAINED.replace("task: digits\n", "task: digits\nmetrics: [accuracy]\n")
    text += stage
    before = record_in(zoo("train", recipe_file(text), "--json"))
    request.getfixturevalue("without_training")
    changed = ("metrics: [accuracy]\n", MACRO_F1.partition("\n")[2]) if stage else CHANGED
    completed = zoo("train", recipe_file(text, changed), "--json")
    after = record_in(completed)
    assert "only the metrics have changed" in completed.err
    assert "without training" in completed.err
    old, new = (json.loads(path.read_text()) for path in (before, after))
    assert old["key"] != new["key"]
    assert (old["weights"], old["cost"]) == (new["weights"], new["cost"])
    assert len(old["results"]) == len(new["results"]) == (2 if stage else 1)
    for old_result, new_result in zip(old["results"], new["results"], strict=True):
        assert old_result["metrics"]["accuracy"] == new_result["metrics"]["accuracy"]
        assert 0 <= new_result["metrics"]["f1"]["value"] <= 1
    assert (after.parent / "model.safetensors").read_bytes() == (before.parent / "model.safetensors").read_bytes()
    assert "macro" in (after.parent / "recipe.yaml").read_text()
    assert {file.name for file in after.parent.iterdir()} == {file.name for file in before.parent.iterdir()}


def test_a_run_in_a_folder_of_its_own_is_scored_again_in_place_unless_its_predictions_were_edited(
    zoo: Zoo, recipe_file: Write, request: pytest.FixtureRequest
) -> None:
    record = record_in(zoo("train", recipe_file(TRAINED), "--out", "mine", "--json"))
    file = record.with_name("predictions-test.npz")
    measured = file.read_bytes()
    with np.load(file) as arrays:
        np.savez_compressed(file, **{**arrays, "predictions": arrays["labels"]})
    request.getfixturevalue("without_training")
    completed = zoo("train", recipe_file(TRAINED, CHANGED), "--out", "mine", "--json")
    assert "not scored again, because it is damaged:" in completed.err
    assert "a training step was taken" in completed.err
    file.write_bytes(measured)
    path = record_in(zoo("train", recipe_file(TRAINED, CHANGED), "--out", "mine", "--json"))
    assert set(json.loads(path.read_text())["results"][0]["metrics"]) == {"accuracy", "f1"}


def test_a_training_that_ended_before_a_metric_failed_is_not_repeated(
    zoo: Zoo, recipe_file: Write, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("harness.runs.record_runs.evaluate_epochs", lambda *_: 1 / 0)
        assert zoo("train", recipe_file(TRAINED)).code != 0
    request.getfixturevalue("without_training")
    assert record_in(zoo("train", recipe_file(TRAINED, CHANGED), "--json")).exists()


@pytest.mark.slow
def test_another_selecting_metric_trains_again(zoo: Zoo, recipe_file: Write) -> None:
    text = TRAINED.replace("task: digits\n", MACRO_F1) + "    selection: best\n    selected_by: [accuracy]\n"
    record_in(zoo("train", recipe_file(text), "--json"))
    completed = zoo("train", recipe_file(text, ("selected_by: [accuracy]", "selected_by: [f1]")), "--json")
    record_in(completed)
    assert "only the metrics" not in completed.err
