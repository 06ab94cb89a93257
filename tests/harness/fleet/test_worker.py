"""Workers that make real runs: the same numbers as one process, each on its device, and a checkpoint when they end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest
import torch

from harness.fleet.journal import journal_of
from harness.fleet.units import plan_units
from harness.fleet.worker import UnitMaker, numbers_from, parse_process
from harness.records.record import read_record
from tests.helpers.device import device
from tests.helpers.project import ROOT, TINY, Zoo
from zoo.errors import UsageError
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions

pytestmark = pytest.mark.process
STARTER = ROOT / "configs" / "starter"


@pytest.mark.slow
def test_several_processes_make_the_same_records_as_one(
    zoo: Zoo, recipe_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published weights, and trainings whose seeds are separate runs; one entry has an error."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
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


@dataclass(frozen=True)
class _FakeContext:
    device: str | None
    show: object = None
    report: object = None


def test_each_process_computes_on_the_next_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    options = RunOptions(device="cuda", records=tmp_path)
    plan = plan_units([catalogue.select_one("digits-resnet8")], options, SourceOptions())
    threads, devices = torch.get_num_threads(), []
    try:
        for number in range(3):
            maker = UnitMaker(plan, _FakeContext, number=number, processes=3)  # type: ignore[arg-type]
            devices.append(maker.context.device)  # type: ignore[attr-defined]
            torch.set_num_threads(threads)
    finally:
        torch.set_num_threads(threads)
    assert devices == ["cuda:0", "cuda:1", "cuda:0"]


def test_a_process_takes_its_share_of_the_threads(tmp_path: Path) -> None:
    plan = plan_units([catalogue.select_one("digits-resnet8")], RunOptions(records=tmp_path), SourceOptions())
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(8)
        _ = UnitMaker(plan, _FakeContext, number=0, processes=4).context  # type: ignore[arg-type]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_process_whose_command_is_killed_notices_it_whenever_it_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of the next unit may arrive before the generator goes on after the unit before."""
    signals, printed, given, killed, ended = list[int](), Event(), Event(), Event(), Event()
    monkeypatch.setattr(os, "kill", lambda pid, number: signals.append(number))
    monkeypatch.setattr(os, "_exit", lambda code: ended.set())
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def lines() -> Iterator[str]:
        yield "0\n"
        printed.wait()
        yield "1\n"
        given.set()
        killed.wait()

    numbers = numbers_from(lines())  # type: ignore[arg-type]
    assert next(numbers) == 0
    printed.set()
    assert given.wait(10)
    assert next(numbers) == 1
    killed.set()
    assert ended.wait(10)
    assert signals == [signal.SIGTERM]


@pytest.mark.slow
def test_a_teacher_is_made_with_the_options_under_which_students_look_for_it(
    zoo: Zoo, recipe_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    recipe_file(TINY, ("name: tiny", "name: teacher"), name="teacher.yaml")
    recipe_file(TINY, ("  - epochs: 1", "  - teacher: {run: teacher.yaml, seed: 0}\n    epochs: 1"))
    command = ("reproduce", "tiny.yaml", "--train", "--seeds", "2", "--precision", "bf16", "--jobs", "2")
    done = zoo(*command, "--records", "runs", "--device", device(), "--micro-batch", "32")
    assert "error" not in done.err, done.err
    numerics = {
        path.parents[1].name: read_record(path).identity.numerics for path in Path("runs").glob("*/*/record.json")
    }
    (teacher,) = Path("runs", "teacher").glob("*/record.json")
    assert read_record(teacher).identity.numerics["precision"] == "fp32"
    assert numerics["tiny"]["precision"] == "bf16"
    assert len(list(Path("runs", "tiny").glob("*/record.json"))) == 2
    (plan,) = Path("runs", ".fleet").iterdir()
    assert json.loads(zoo("status", plan, "--json").out)["counts"]["done"] == 3
    before = {path: path.stat().st_mtime_ns for path in plan.glob("units/*")}
    zoo(*command, "--records", "runs", "--device", device(), "--micro-batch", "32")
    assert {path: path.stat().st_mtime_ns for path in plan.glob("units/*")} == before


@pytest.mark.parametrize("text", ["", "1", "1/1", "2/1", "-1/2", "a/b"])
def test_a_process_that_is_none_of_the_processes_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write NUMBER/COUNT"):
        parse_process(text)


def test_a_unit_is_made_once_by_the_command(zoo: Zoo, zoo_process: Zoo, tmp_path: Path) -> None:
    options = RunOptions(records=tmp_path / "runs", device=device())
    plan = plan_units([catalogue.select_one("digits-resnet8")], options, SourceOptions())
    first = zoo("run-unit", plan.write(), "--index", "0")
    assert first.code == 0, first.err
    journal = journal_of(plan, 0)
    before, seconds = journal.path.read_bytes(), journal.events()[-1]["seconds"]
    (tmp_path / "torch.py").write_text("raise RuntimeError('imported')")
    again = zoo_process("run-unit", plan.home, "--index", "0", "--json", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert again.code == 0, again.err
    assert (json.loads(again.out)["existed"], json.loads(again.out)["records"]) == (True, [first.out.strip()])
    assert journal.path.read_bytes() == before
    shutil.rmtree(plan.records / ".cache")
    by_identity = json.loads(zoo("run-unit", plan.home, "--index", "0", "--json").out)
    assert (by_identity["existed"], by_identity["records"]) == (True, [first.out.strip()])
    assert journal.events()[-1]["seconds"] == seconds
    assert len(list(plan.records.glob("*/*/record.json"))) == 1
    assert zoo("verify", "digits-resnet8", "--records", plan.records).code == 0


def test_a_recipe_that_has_changed_since_the_plan_is_refused(
    zoo: Zoo, recipe_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = recipe_file(TINY)
    options = RunOptions(train=True, seeds=1, records=tmp_path / "runs", device=device())
    plan = plan_units([catalogue.local(path)], options, SourceOptions())
    plan.write()
    path.write_text(path.read_text().replace("epochs: ", "epochs: 1"))
    done = zoo("run-unit", plan.home, "--index", "0")
    assert done.code == 2
    assert "the recipe has changed since the plan was made" in done.err


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
def test_trainings_whose_command_is_killed_save_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from dataclasses import replace\n" + SLOW_TASK)
    (tmp_path / "tiny.yaml").write_text(TINY.replace("task: digits", "task: mine.slow"))
    environment = {**os.environ, "ZOO_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
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
