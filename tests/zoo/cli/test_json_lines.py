"""--json-lines: every line is JSON, and the last one is the result or the error."""

import json
from typing import Any

import pytest

from tests.helpers.project import TINY, CompletedCommand, Write, Zoo
from zoo.cli.json_lines import EVENTS

KEYS = {"event", "work", "entry", "unit", "step", "of", "seconds_left", "note"}


def events_of(completed: CompletedCommand) -> list[dict[str, Any]]:
    return [json.loads(line) for line in completed.out.splitlines()]


def test_a_job_reports_its_runs_and_their_steps_and_then_the_result(zoo: Zoo) -> None:
    completed = zoo("verify", "digits-resnet8", "digits-resnet14", "--json-lines")
    *progress, result = events_of(completed)
    assert completed.code == 0
    assert all(set(event) == KEYS and event["event"] == "progress" for event in progress)
    jobs = [event for event in progress if event["work"] == "all runs"]
    assert [(event["step"], event["of"], event["entry"]) for event in jobs] == [(n, 2, None) for n in range(3)]
    assert jobs[-1]["seconds_left"] == 0.0
    steps = [event for event in progress if event["entry"] == "digits-resnet14"]
    assert (steps[-1]["unit"], steps[-1]["step"], steps[-1]["of"]) == ("examples", 898, 898)
    assert result.pop("event") == "result"
    document = json.loads(zoo("verify", "digits-resnet8", "digits-resnet14", "--json").out)
    assert result == document


@pytest.mark.parametrize("command", ["train", "reproduce"])
def test_steps_of_a_training_name_the_entry_and_the_time_left(command: str, zoo: Zoo, recipe_file: Write) -> None:
    options = ["--train", "--seeds", "2"] if command == "reproduce" else []
    recipe = recipe_file(
        TINY, ("stages:", "claims: [{of: retrain, split: test, metric: accuracy, value: 0.5, source: a test}]\nstages:")
    )
    *progress, result = events_of(zoo(command, recipe, *options, "--json-lines"))
    steps = [event for event in progress if event["unit"] == "steps"]
    assert {event["entry"] for event in steps} == {"tiny"}
    assert (steps[-1]["step"], steps[-1]["of"], steps[-1]["seconds_left"]) == (15, 15, 0.0)
    assert steps[0]["seconds_left"] is None
    assert result["event"] == "result"
    runs = [event["step"] for event in progress if event["work"] == "all runs"]
    assert runs == ([0, 1, 2] if command == "reproduce" else [])


def test_an_error_is_the_last_line(zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    completed = zoo("train", recipe_file(TINY.replace("epochs: 1", "epochs: many")), "--json-lines")
    (event,) = events_of(completed)
    assert (event["event"], event["exit_code"], completed.code) == ("error", 2, 2)
    assert "'many'" in event["message"] and "'many'" in completed.err

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.cli.train.train_entry", interrupted)
    completed = zoo("train", recipe_file(), "--json-lines")
    assert events_of(completed) == [{"event": "error", "message": "interrupted", "exit_code": 130}]
    assert (completed.code, EVENTS.handlers) == (130, [])


def test_fetch_ends_with_its_result(zoo: Zoo) -> None:
    assert events_of(zoo("fetch", "digits-resnet8", "--json-lines"))[-1]["event"] == "result"


def test_json_is_one_document_as_before(zoo: Zoo) -> None:
    assert json.loads(zoo("verify", "digits-resnet8", "--json").out)["schema"] == 2
