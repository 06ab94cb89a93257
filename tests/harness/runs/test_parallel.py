"""Runs in several processes: the same numbers, each error its own entry's, and nobody left behind."""

import json
import os
import pickle
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.models.environment import accelerator_on
from harness.records.record import read_record
from harness.runs import parallel
from harness.runs.experiment import RunContext
from harness.runs.parallel import make_runs_in_parallel
from tests.helpers.project import ROOT, Zoo
from zoo.errors import Mark, NoDataError, Problem, RecipeError, ZooError
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry

STARTER = ROOT / "configs" / "starter"


def _setup(runs: Path) -> RunContext:
    return RunContext(builder=Builder(), accelerator=accelerator_on("cpu"), runs=runs)


def _dying(runs: Path) -> RunContext:
    os.kill(os.getpid(), signal.SIGKILL)
    return _setup(runs)


@pytest.mark.parametrize(
    "error",
    [
        RecipeError([Problem(Mark(path="a.yaml", line=3, column=7), "no such loss")]),
        NoDataError("imagenet", "val"),
        ZooError("plain"),
    ],
)
def test_an_error_is_the_same_in_another_process(error: ZooError) -> None:
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copied), str(copied), copied.exit_code) == (type(error), str(error), error.exit_code)
    assert copied.__dict__ == error.__dict__


def test_several_processes_make_the_records_of_one(zoo: Zoo, recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    """Published weights and trainings with their seeds apart; what is wrong with one entry is told as it is of one."""
    text = (STARTER / "digits-resnet8.yaml").read_text()
    short = recipe_file(text.replace("name: digits-resnet8", "name: short").replace("epochs: 20", "epochs: 1"))
    bad = recipe_file(text.replace("embedded:digits-resnet8.", "file:nowhere."), name="bad.yaml")
    found = {}
    for number in ("1", "3"):
        records = tmp_path / f"runs-{number}"
        weights = zoo(
            "verify", "digits-resnet8", bad, "entail-bert-l2h32", "--json", "--jobs", number, "--records", records
        )
        trained = zoo("reproduce", short, "--train", "--seeds", "2", "--json", "--jobs", number, "--records", records)
        assert "nowhere" in weights.err
        scores = {}
        for path in sorted(records.glob("*/*/record.json")):
            record = read_record(path)
            scores[path.parent.parent.name, path.parent.name] = [
                (result.split, result.n, result.metrics) for result in record.results
            ]
        told = [
            [(one["entry"], one["verdict"], one["claims"]) for one in json.loads(ended.out)["entries"]]
            for ended in (weights, trained)
        ]
        found[number] = (scores, told, weights.code, trained.code)
        assert len(scores) == 4
    assert found["1"] == found["3"]


def test_nothing_is_begun_after_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is on its way to the processes then; what the interrupted run has said is said."""
    begun: list[Entry] = []

    def interrupted(entry: Entry, mode: str, seeds: list[int]) -> None:
        begun.append(entry)
        raise KeyboardInterrupt

    stop, before = get_context("spawn").Event(), signal.getsignal(signal.SIGINT)
    worker = SimpleNamespace(said=["the same command goes on"], ran=interrupted)
    monkeypatch.setattr(parallel, "_stop", stop, raising=False)
    monkeypatch.setattr(parallel, "_worker", worker, raising=False)
    try:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                parallel._ran(catalogue.one("digits-resnet8"), "retrain", [0])
    finally:
        signal.signal(signal.SIGINT, before)
    assert stop.is_set()
    assert len(begun) == 1
    assert capsys.readouterr().err == "the same command goes on\n"


def test_a_process_that_dies_is_an_error_of_what_it_did_not_make(tmp_path: Path) -> None:
    wanted: list[tuple[Entry, list[int]]] = [(catalogue.one("digits-resnet8"), [])]
    (ran,) = make_runs_in_parallel(wanted, "weights", partial(_dying, tmp_path), 2, print)
    assert "digits-resnet8: not run: one of the processes was killed" in str(ran.error)
    assert not active_children()
