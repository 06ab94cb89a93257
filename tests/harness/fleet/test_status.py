"""What `zoo status` says of a unit follows from its journal and its lock."""

import json
import os
from dataclasses import replace
from pathlib import Path
from time import time
from types import SimpleNamespace
from typing import Any

import pytest

from harness.fleet import status as module
from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan
from harness.fleet.results import NOT_NEEDED
from harness.fleet.status import newest_plan, status_of
from harness.fleet.units import plan_units
from harness.fleet.work import Messages, make_unit, unit_lock
from harness.judging.judge_runs import EntryRuns
from harness.records import lock_file
from tests.helpers import fleet_worker
from tests.helpers.device import device
from tests.helpers.fleet_worker import plan_of
from tests.helpers.project import TINY, Write, Zoo
from zoo.cli import fleet
from zoo.errors import IntegrityError, SourceError
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    options = RunOptions(train=True, records=tmp_path / "home" / "runs")
    made = plan_of(plan_units([catalogue.select_one("digits-resnet8")], options, SourceOptions()), 6)
    made.write()
    return made


def make(plan: Plan, index: int, error: Exception | None = None) -> None:
    def one(unit: Any) -> EntryRuns:
        if error is not None:
            raise error
        return fleet_worker.make(plan, unit, Messages())

    make_unit(plan, index, one, Messages())


def states(plan: Plan) -> list[str]:
    return [unit.state for unit in status_of(plan).units]


def test_every_state_is_told_from_journal_and_lock(plan: Plan) -> None:
    make(plan, 0)
    make(plan, 1, SourceError("no such file"))
    lock = unit_lock(plan, 2)
    assert lock.try_acquire()
    journal_of(plan, 2).start(1)
    journal_of(plan, 3).start(1)
    journal_of(plan, 4).start(1)
    journal_of(plan, 4).append("stopped", why="SIGTERM")
    assert states(plan) == ["done", "failed", "running", "killed", "stopped", "waiting"]
    lock.release()
    assert states(plan)[2] == "killed"


def test_a_run_whose_record_is_deleted_waits_again(plan: Plan) -> None:
    make(plan, 0)
    (record,) = plan.records.glob("*/*/record.json")
    record.unlink()
    assert states(plan)[0] == "waiting"


def test_the_last_line_of_a_killed_process_is_left_out_and_closed(plan: Plan) -> None:
    journal = journal_of(plan, 0)
    journal.start(1)
    with journal.path.open("ab") as file:
        file.write(b'{"event": "do')
    assert [event["event"] for event in journal.events()] == ["started"]
    journal.append("stopped", why="SIGTERM")
    assert [event["event"] for event in journal.events()] == ["started", "stopped"]


def test_a_journal_that_cannot_be_written_is_named_with_what_to_do(plan: Plan, zoo: Zoo) -> None:
    journal = journal_of(plan, 0)
    journal.path.mkdir(parents=True)
    done = zoo("run-unit", plan.home, "--index", "0")
    assert done.code == 4
    assert f"{journal.path}: cannot write the journal" in done.err
    assert "make the folder writable, then repeat this command. Runs with a record are not made again" in done.err


@pytest.mark.parametrize(
    ("elapsed", "left"),
    [((40,), 100 * 3 + 60), ((40, 90), (100 * 2 + 60 + 10) / 2), ((500, 500), 100), ((500, 10, 500, 20), 90)],
)
def test_the_time_left_is_that_of_the_runs_that_are_done(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, elapsed: tuple[int, ...], left: float
) -> None:
    """Two units took 100 s each. A running unit that takes longer than that shortens no other one."""
    now = time()
    for index in (0, 1):
        make(plan, index)
        journal_of(plan, index).append("done", records=_records(plan, index), seconds=100.0)
    locks = [unit_lock(plan, index) for index in range(2, 2 + len(elapsed))]
    for lock, index, seconds in zip(locks, range(2, 6), elapsed, strict=False):
        assert lock.try_acquire()
        started = {"event": "started", "time": now - seconds, "host": "box", "pid": 1}
        journal_of(plan, index).path.write_text(json.dumps(started) + "\n")
    monkeypatch.setattr(module, "time", lambda: now)
    assert status_of(plan).seconds_left == pytest.approx(left)
    for lock in locks:
        lock.release()
    assert status_of(plan).seconds_left is None  # nothing runs


def _records(plan: Plan, index: int) -> list[str]:
    return list(journal_of(plan, index).events()[-1]["records"])


def test_the_command_shows_errors_and_what_to_do_next(plan: Plan, zoo: Zoo) -> None:
    make(plan, 0)
    make(plan, 1, IntegrityError("the weights differ"))
    done = zoo("status")
    assert done.code == 5
    assert "6 runs: 1 done, 1 failed, 4 waiting" in done.out
    assert "unit 1, digits-resnet8, seed 1: the weights differ" in done.out
    advice = " ".join(done.out.split())
    assert f"`zoo run-unit {plan.home} --all` makes the missing runs. If `zoo verify` or" in advice
    data = json.loads(zoo("status", plan.home, "--json").out)
    assert data["counts"]["waiting"] == 4
    assert [unit["state"] for unit in data["units"]][:3] == ["done", "failed", "waiting"]


def test_a_plan_that_is_done_needs_nothing(plan: Plan, zoo: Zoo) -> None:
    for index in range(6):
        make(plan, index)
    done = zoo("status", "--watch")
    assert done.code == 0
    assert "6 runs: 6 done" in done.out


def test_watching_ends_when_each_run_is_made_or_has_failed(
    plan: Plan, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm queues stopped and killed runs again."""
    steps = iter([lambda: make(plan, 4), lambda: make(plan, 5, SourceError("no such file"))])
    monkeypatch.setattr(fleet, "time", SimpleNamespace(sleep=lambda seconds: next(steps)()))
    for index in range(4):
        make(plan, index)
    journal_of(plan, 4).start(1)
    journal_of(plan, 4).append("stopped", why="SIGTERM")
    journal_of(plan, 5).start(1)  # by a process that was killed
    done = zoo("status", "--watch")
    assert done.code == 4
    assert "5 done, 1 failed" in done.out
    assert next(steps, None) is None


def test_ctrl_c_ends_watching_without_a_message(plan: Plan, zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fleet, "time", SimpleNamespace(sleep=interrupt))
    done = zoo("status", "--watch")
    assert (done.code, done.err) == (130, "")
    assert "No process works on this plan now" in done.out
    assert f"`zoorun-unit{plan.home}--all`" in "".join(done.out.split())
    assert done.out.endswith("\n")


def test_a_run_that_another_command_has_made_is_done(plan: Plan) -> None:
    journal_of(plan, 1).start(1)  # by a process that was killed
    make(plan, 2, SourceError("no such file"))
    for index in (0, 1, 2):
        fleet_worker.write_record(plan, plan.units[index])
    assert states(plan) == ["done", "done", "done", *["waiting"] * 3]
    repaired = status_of(plan).units[2]
    assert (repaired.why, repaired.code, repaired.seconds) == ("", 0, None)


def test_a_teacher_that_was_not_needed_waits_once_it_is(recipe_file: Write, tmp_path: Path) -> None:
    recipe_file(TINY, ("name: tiny", "name: teacher"), name="teacher.yaml")
    student = recipe_file(TINY, ("  - epochs: 1", "  - teacher: {run: teacher.yaml, seed: 1}\n    epochs: 1"))
    options = RunOptions(train=True, seeds=1, records=tmp_path / "runs")
    made = plan_units([catalogue.local(student)], options, SourceOptions())
    journal_of(made, 0).append("done", skipped=NOT_NEEDED)
    assert states(replace(made, units=made.units[:1])) == ["done"]
    assert states(made) == ["waiting", "waiting"]


def test_watching_excludes_json(plan: Plan, zoo: Zoo) -> None:
    done = zoo("status", "--watch", "--json")
    assert done.code == 2
    assert "--watch shows text again and again, and excludes --json" in done.err


def test_looking_writes_nothing_and_needs_no_time_of_a_server(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    lock = unit_lock(plan, 0)
    assert lock.try_acquire()
    journal_of(plan, 0).start(1)
    content = json.loads(lock.path.read_text())
    content["process"]["boot"] = "another"  # whose processes nobody here can see
    lock.path.write_text(json.dumps(content))
    monkeypatch.setattr(lock_file, "_write_new", refuse)
    for age, state in ((0, "running"), (299, "running"), (301, "killed"), (86_400, "killed")):
        os.utime(lock.path, (time() - age, time() - age))
        assert states(plan)[0] == state
    later = lock.path.with_name("00001")  # the clock of the file server is ahead of ours
    later.write_text("")
    os.utime(later, (time() + 1000, time() + 1000))
    for age, state in ((900, "running"), (600, "killed")):
        os.utime(lock.path, (time() + age, time() + age))
        assert states(plan)[0] == state
    lock.release()


def test_runs_that_exist_are_done_in_a_new_plan(zoo: Zoo) -> None:
    arguments = ("digits-resnet8", "--device", device())
    assert zoo("verify", *arguments).code == 0
    assert zoo("plan", *arguments, "digits-resnet14").code == 0
    data = json.loads(zoo("status", "--json").out)
    assert [unit["state"] for unit in data["units"]] == ["done", "waiting"]


def test_without_a_plan_the_message_says_how_to_make_one(zoo: Zoo) -> None:
    done = zoo("status")
    assert done.code == 4
    assert "`zoo plan` makes one" in done.err


def test_the_newest_plan_is_the_one_that_was_worked_on_last(plan: Plan) -> None:
    other = replace(plan, units=plan.units[:2])
    other.write()
    for number, (index, newest) in enumerate([(0, plan), (1, plan), (0, other)], 1):
        make(newest, index)
        os.utime(journal_of(newest, index).path, (time() + number, time() + number))
        assert newest_plan(plan.records).id == newest.id


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not a plan of zoo"), ('{"format": "zoo-plan-0"}', "expected format"), ("[]", "expected format")],
)
def test_a_file_that_is_no_plan_is_named(zoo: Zoo, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "plan.json").write_text(content)
    for command in (["status", "plan.json"], ["run-unit", "plan.json", "--index", "0"]):
        done = zoo(*command)
        assert done.code == 2
        assert message in done.err
        assert "plan.json" in done.err


@pytest.mark.parametrize("index", ["6", "x", "-1"])
def test_a_unit_that_the_plan_lacks_is_named(plan: Plan, zoo: Zoo, index: str) -> None:
    done = zoo("run-unit", plan.file, "--index", "0", "--index", index)
    assert done.code == 2
    assert not (plan.home / "units").exists()  # the other one is not made either
    assert f"--index {index}: the plan {plan.file} has units 0 to 5" in done.err
