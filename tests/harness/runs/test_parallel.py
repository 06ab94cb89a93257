"""Runs in several processes: the same numbers, an error for each entry that fails, and no process left behind."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from harness.models.environment import accelerator_on
from harness.records.record import read_record
from harness.runs import parallel
from harness.runs.experiment import RunContext
from harness.runs.parallel import make_runs_in_parallel
from tests.helpers.device import device
from tests.helpers.project import ROOT, TINY, Zoo
from zoo.errors import Mark, NoDataError, Problem, RecipeError, ZooError
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry

pytestmark = pytest.mark.process
STARTER = ROOT / "configs" / "starter"


def _context(runs: Path) -> RunContext:
    return RunContext(builder=Builder(), accelerator=accelerator_on(device()), runs=runs)


def _dying(runs: Path, device: str | None) -> RunContext:
    os.kill(os.getpid(), signal.SIGKILL)
    return _context(runs)


@pytest.mark.parametrize(
    "error",
    [
        RecipeError([Problem(Mark(path="a.yaml", line=3, column=7), "no such loss")]),
        NoDataError("imagenet", "val"),
        ZooError("plain"),
    ],
)
def test_an_error_survives_pickling(error: ZooError) -> None:
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copied), str(copied), copied.exit_code) == (type(error), str(error), error.exit_code)
    assert copied.__dict__ == error.__dict__


@pytest.mark.slow
def test_several_processes_make_the_same_records_as_one(
    zoo: Zoo, recipe_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Published weights, and trainings whose seeds are separate runs; one entry has an error."""
    text = (STARTER / "digits-resnet8.yaml").read_text()
    short = recipe_file(text.replace("name: digits-resnet8", "name: short").replace("epochs: 20", "epochs: 1"))
    bad = recipe_file(text.replace("embedded:digits-resnet8.", "file:nowhere."), name="bad.yaml")
    found = {}
    for number in ("1", "2"):
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
        judged = [
            [(entry["entry"], entry["verdict"], entry["claims"]) for entry in json.loads(completed.out)["entries"]]
            for completed in (weights, trained)
        ]
        found[number] = (scores, judged, weights.code, trained.code)
        assert len(scores) == 4
    assert found["1"] == found["2"]


def test_no_run_starts_after_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs that are queued in a process do not start; the messages of the interrupted run are printed."""
    started: list[Entry] = []

    def interrupted(entry: Entry, mode: str, seeds: list[int]) -> None:
        started.append(entry)
        raise KeyboardInterrupt

    stop, before = get_context("spawn").Event(), signal.getsignal(signal.SIGINT)
    worker = SimpleNamespace(messages=["run it again to resume"], make_runs=interrupted)
    monkeypatch.setattr(parallel, "_stop", stop, raising=False)
    monkeypatch.setattr(parallel, "_worker", worker, raising=False)
    try:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                parallel._make_in_worker(catalogue.select_one("digits-resnet8"), "retrain", [0])
    finally:
        signal.signal(signal.SIGINT, before)
    assert stop.is_set()
    assert len(started) == 1
    assert capsys.readouterr().err == "run it again to resume\n"


@dataclass(frozen=True)
class _FakeContext:
    device: str | None
    show: object = None
    report: object = None


def test_each_process_computes_on_the_next_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(parallel, "_stop", None, raising=False)
    monkeypatch.setattr(parallel, "_worker", None, raising=False)
    spawn, before = get_context("spawn"), signal.getsignal(signal.SIGINT)
    stop, started, devices = spawn.Event(), spawn.Value("i", 0), []
    try:
        for _ in range(3):
            worker = parallel._Worker(_FakeContext, 1, "cuda")  # type: ignore[arg-type]
            parallel._start_worker(worker, stop, started)
            devices.append(worker.context.device)  # type: ignore[attr-defined]
    finally:
        signal.signal(signal.SIGINT, before)
    assert devices == ["cuda:0", "cuda:1", "cuda:0"]


@pytest.mark.slow
def test_a_killed_process_is_an_error_of_the_entry_that_it_did_not_finish(tmp_path: Path) -> None:
    wanted: list[tuple[Entry, list[int]]] = [(catalogue.select_one("digits-resnet8"), [])]
    (runs,) = make_runs_in_parallel(wanted, "weights", partial(_dying, tmp_path), 2, print)
    assert "digits-resnet8: not run: one of the processes was killed" in str(runs.error)
    assert not active_children()


SLOW_TASK = """
import time
from zoo.tasks import digits

class Slow:
    def __init__(self, split):
        self.split, self.labels = split, split.labels
    def __len__(self):
        return len(self.split)
    def batch(self, *arguments):
        time.sleep(0.5)
        return self.split.batch(*arguments)
    def rows(self):
        return self.split.rows()

def slow():
    task = digits()
    return replace(task, splits={**task.splits, "train": lambda: Slow(task.load("train"))})
"""


@pytest.mark.slow
def test_trainings_whose_parent_is_killed_save_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from dataclasses import replace\n" + SLOW_TASK)
    (tmp_path / "tiny.yaml").write_text(TINY.replace("task: digits", "task: mine.slow"))
    environment = {
        **os.environ,
        "ZOO_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "zoo", "reproduce", "tiny.yaml", "--train", "--trust", "mine", "--seeds", "2"]
    parent = subprocess.Popen([*command, "--jobs", "2", "--device", device()], cwd=tmp_path, env=environment)
    unfinished = tmp_path / "home" / "runs" / ".unfinished"
    wait_until(lambda: len(list(unfinished.glob("*/log.jsonl"))) == 2)
    parent.kill()
    parent.wait()
    wait_until(lambda: len(list(unfinished.glob("*/checkpoint-*.pt"))) == 2)


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until a condition holds; fail after some time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
