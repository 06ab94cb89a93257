"""Training logs in trackers: names, resumed and failed trainings, and trackers that fail."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from harness.records.record import read_record
from harness.tracking import log_to
from harness.tracking.log_to import IDS, LogToTrackers, numbers
from harness.tracking.tracker import LogLine, TrackedTraining
from tests.helpers.project import TINY, Write, Zoo


class ListTracker:
    """A tracker that keeps what it receives, or fails."""

    fails = False

    def __init__(self, training: TrackedTraining, *, resumed: str | None, first_step: int) -> None:
        self.id, self.first_step = resumed or f"new {training.name}", first_step
        self.lines: list[LogLine] = []
        self.results: Mapping[str, float] | None = None
        self.is_complete: bool | None = None
        opened.append(self)

    def send(self, lines: Sequence[LogLine]) -> None:
        if self.fails:
            raise ConnectionError("no network")
        self.lines += lines

    def close(self, results: LogLine, *, is_complete: bool) -> None:
        self.step, self.results, self.is_complete = results.step, results.values, is_complete


opened: list[ListTracker] = []


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Use the tracker of the tests under two names, and return the messages to the user."""
    opened.clear()
    monkeypatch.setattr(log_to, "TRACKERS", {"wandb": ListTracker, "mlflow": ListTracker})
    return []


def trackers(folder: Path, messages: list[str], *names: str) -> LogToTrackers:
    training = TrackedTraining(name="tiny/seed1", config={"seed": 1}, folder=folder, work=folder)
    return LogToTrackers(names or ("wandb",), training, messages.append)


def test_numbers_have_the_names_of_the_log() -> None:
    line = {"step": 3, "stage": 1, "rate": 0.1, "losses": {"ce": 2.0, "total": None}, "scores": {"test": {"f1": 0.5}}}
    assert numbers(line) == {"stage": 1, "rate": 0.1, "losses/ce": 2.0, "scores/test/f1": 0.5}


@given(st.dictionaries(st.text(min_size=1), st.floats(allow_nan=False) | st.none()))
def test_every_number_of_a_line_is_sent_once(losses: dict[str, float | None]) -> None:
    assert numbers({"step": 1, "losses": losses}) == {
        f"losses/{name}": value for name, value in losses.items() if value is not None
    }


def test_lines_are_sent_in_order_and_the_scores_at_the_end(tmp_path: Path, messages: list[str]) -> None:
    sender = trackers(tmp_path, messages)
    for step in (1, 2, 3):
        sender.add({"step": step, "rate": 0.1 * step})
    sender.results = {"results/test/accuracy": 0.5}
    sender.close(is_complete=True)
    sender.close(is_complete=False)
    (tracker,) = opened
    assert [line.step for line in tracker.lines] == [1, 2, 3]
    assert (tracker.results, tracker.is_complete, messages) == ({"results/test/accuracy": 0.5}, True, [])


def test_a_tracker_that_fails_is_reported_once_and_the_others_go_on(tmp_path: Path, messages: list[str]) -> None:
    sender = trackers(tmp_path, messages, "wandb", "mlflow")
    sender.add({"step": 1, "rate": 0.1})
    failing, other = opened
    failing.fails = True
    sender.close(is_complete=True)
    assert [line.step for line in other.lines] == [1]
    assert messages == [
        "tiny/seed1: nothing more is sent to wandb (ConnectionError: no network); the training goes on, and log.jsonl"
        " has every line"
    ]
    assert (failing.is_complete, other.is_complete) == (None, True)


def test_a_resumed_training_goes_on_with_its_run_and_a_new_one_does_not(tmp_path: Path, messages: list[str]) -> None:
    (tmp_path / IDS).write_text(json.dumps({"wandb": "earlier"}))
    trackers(tmp_path, messages).add({"step": 7})
    trackers(tmp_path, messages).add({"step": 1})
    assert [(tracker.id, tracker.first_step) for tracker in opened] == [("earlier", 7), ("new tiny/seed1", 1)]


def test_a_training_that_was_stopped_after_its_last_step_still_sends_its_scores(
    tmp_path: Path, messages: list[str]
) -> None:
    trackers(tmp_path, messages).add({"step": 4})
    (tmp_path / "log.jsonl").write_text('{"step": 3}\n{"step": 4}\n')
    sender = trackers(tmp_path, messages)
    sender.results = {"results/test/f1": 1.0}
    sender.close(is_complete=True)
    assert (opened[1].id, opened[1].first_step, opened[1].results) == ("new tiny/seed1", 5, {"results/test/f1": 1.0})


@pytest.mark.parametrize("log", [None, "", "{", "[]"])
def test_a_log_that_cannot_be_read_does_not_end_a_training(
    log: str | None, tmp_path: Path, messages: list[str]
) -> None:
    trackers(tmp_path, messages).add({"step": 4})
    if log is not None:
        (tmp_path / "log.jsonl").write_text(log)
    sender = trackers(tmp_path, messages)
    sender.results = {"results/test/f1": 1.0}
    sender.close(is_complete=True)
    assert opened[1].results == {"results/test/f1": 1.0}


@pytest.mark.parametrize("content", ["", "{", "[1]", '"x"'])
def test_a_damaged_file_of_runs_starts_new_ones(content: str, tmp_path: Path, messages: list[str]) -> None:
    (tmp_path / IDS).write_text(content)
    trackers(tmp_path, messages).add({"step": 7})
    assert [tracker.id for tracker in opened] == ["new tiny/seed1"]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars of a TensorBoard run: name -> steps and values."""
    events = EventAccumulator(str(folder)).Reload()
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_has_every_number_of_the_log_and_the_weights_are_the_same(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = recipe_file(TINY)
    train = ("train", path, "--score-epochs", "--records", "runs", "--json")
    done = zoo(*train, "--log-to", "tensorboard")
    assert done.code == 0, done.err
    (events,) = (tmp_path / "runs" / "tensorboard" / "tiny").iterdir()
    run, shown = tmp_path / "runs" / "tiny" / events.name, scalars(events)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for name in ("losses/ce", "losses/total", "rate", "epoch", "stage", "scores/test/accuracy"):
        logged = [(line["step"], numbers(line)[name]) for line in lines if name in numbers(line)]
        assert shown[name] == [(step, pytest.approx(value, rel=1e-6)) for step, value in logged]
    accuracy = read_record(run / "record.json").results[0].metrics["accuracy"]["value"]
    assert shown["results/test/accuracy"] == [(lines[-1]["step"], pytest.approx(accuracy, rel=1e-6))]
    again = zoo(*train, "--log-to", "tensorboard")
    assert "--log-to has no effect on 1 run that exists; to train again, add --fresh" in again.err
    without = zoo("train", path, "--records", "others", "--json")
    weights = tmp_path / "others" / "tiny" / events.name / "model.safetensors"
    assert weights.read_bytes() == (run / "model.safetensors").read_bytes(), without.err


def test_a_missing_package_and_an_unknown_tracker_are_reported_before_anything_is_done(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_to, "find_spec", lambda _: None)
    missing = zoo("train", recipe_file(TINY), "--log-to", "mlflow")
    assert (missing.code, missing.err) == (2, "--log-to mlflow needs the package mlflow: pip install mlflow\n")
    unknown = zoo("train", recipe_file(TINY), "--log-to", "excel")
    assert unknown.code == 2
    assert "--log-to excel: no such tracker; choose from tensorboard, trackio, wandb, mlflow" in unknown.err
    assert "--log-to need --train" in zoo("verify", "digits-resnet8", "--log-to", "mlflow").err
