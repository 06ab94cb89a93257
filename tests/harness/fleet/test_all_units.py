"""`zoo run-unit --all` makes what is missing, and shares it with other processes."""

import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.fleet.all_units import make_all_units
from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.units import plan_units
from harness.fleet.work import MadeUnit, Messages, make_unit, unit_lock
from harness.judging.judge_runs import EntryRuns
from tests.helpers import fleet_worker
from tests.helpers.device import device
from tests.helpers.fleet_worker import plan_of
from tests.helpers.project import TINY, Write, Zoo
from zoo.errors import SourceError
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    options = RunOptions(train=True, records=tmp_path / "home" / "runs")
    made = plan_of(plan_units([catalogue.select_one("digits-resnet8")], options, SourceOptions()), 4)
    made.write()
    return made


def all_units(plan: Plan, reported: list[str] | None = None) -> Iterator[MadeUnit]:
    messages = Messages()

    def make(unit: Unit) -> EntryRuns:
        return fleet_worker.make(plan, unit, messages)

    return make_all_units(plan, make, messages, (reported if reported is not None else []).append)


def test_a_unit_of_another_process_is_left_to_the_end(plan: Plan) -> None:
    reported, numbers = list[str](), list[int]()
    lock = unit_lock(plan, 1)
    assert lock.try_acquire()
    for made in all_units(plan, reported):
        numbers.append(made.unit.index)
        if numbers == [0, 2, 3]:
            threading.Timer(0.3, lock.release).start()
    assert numbers == [0, 2, 3, 1]
    assert reported == ["waiting for unit 1, digits-resnet8, seed 1, which another process makes"]


def test_students_of_a_teacher_in_another_process_are_left_too(plan: Plan) -> None:
    waves = {0: 0, 1: 0, 2: 1, 3: 1}
    plan = replace(plan, units=tuple(replace(unit, wave=waves[unit.index]) for unit in plan.units))
    lock, numbers = unit_lock(plan, 0), list[int]()
    assert lock.try_acquire()
    for made in all_units(plan):
        numbers.append(made.unit.index)
        if numbers == [1]:
            threading.Timer(0.3, lock.release).start()
    assert numbers == [1, 0, 2, 3]


def test_a_unit_that_fails_elsewhere_meanwhile_is_not_tried_again(plan: Plan) -> None:
    def fail(unit: Unit) -> EntryRuns:
        raise SourceError("nothing there")

    make_unit(plan, 3, fail, Messages())  # before: it is tried again
    units = all_units(plan)
    first = next(units)
    make_unit(plan, 2, fail, Messages())
    rest = {made.unit.index: made for made in units}
    assert first.unit.index == 0
    assert str(rest[2].result.error) == "nothing there"
    assert rest[3].result.error is None
    assert sum(event["event"] == "started" for event in journal_of(plan, 2).events()) == 1


def test_the_command_makes_all_runs_once(zoo: Zoo, tmp_path: Path) -> None:
    planned = zoo("plan", "digits-resnet8", "digits-resnet14", "--records", "my runs", "--device", device())
    (folder,) = Path("my runs", ".fleet").iterdir()
    advice = " ".join(planned.out.split())
    assert f"`zoo run-unit '{folder.absolute()}' --all` makes all that are missing" in advice.replace("\n", " ")
    done = zoo("run-unit", folder, "--all")
    assert (done.code, len(done.out.splitlines())) == (0, 2)
    assert len(list(Path("my runs").glob("*/*/record.json"))) == 2
    again = zoo("run-unit", folder, "--all")
    assert (again.code, again.out, again.lines) == (0, "", ["no run of the plan is missing"])


@pytest.mark.parametrize("options", [(), ("--all", "--index", "0")])
def test_units_are_named_in_one_way(options: tuple[str, ...], zoo: Zoo, plan: Plan) -> None:
    done = zoo("run-unit", plan.home, *options)
    assert (done.code, "pass --index I for one unit of the plan, or --all" in done.err) == (2, True)


@pytest.mark.parametrize("line", ["foo", "99", "-1", "\u00b2"])
def test_a_line_without_a_number_is_an_error_after_the_runs_before_it(
    line: str, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = RunOptions(records=tmp_path / "runs", device=device())
    plan = plan_units([catalogue.select_one("digits-resnet8")], options, SourceOptions())
    plan.write()
    fleet_worker.write_record(plan, plan.units[0])
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"0\n\n{line}\n"))
    done = zoo("run-unit", plan.home, "--index", "-")
    assert done.code == 2, done.err
    assert done.lines == [f"--index {line}: the plan {plan.file} has units 0 to 0"]
    assert [event["event"] for event in journal_of(plan, 0).events()][-1] == "done"


def test_a_unit_that_is_stopped_is_shown_with_its_progress(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    path = recipe_file(TINY, ("epochs: 1", "epochs: 500"))
    options = RunOptions(train=True, seeds=1, records=tmp_path / "runs", device=device())
    plan = plan_units([catalogue.local(path)], options, SourceOptions())
    plan.write()

    def terminate() -> None:
        end = time.monotonic() + 60
        while not any(plan.records.glob(".unfinished/*/log.jsonl")) and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=terminate)
    thread.start()
    done = zoo("run-unit", plan.home, "--index", "0", "--json")
    thread.join()
    data = json.loads(done.out)
    assert done.code == 143
    assert (data["unit"], data["records"], data["stopped"]) == (0, [], "SIGTERM")
    assert data["progress"].startswith("step ")
    assert f"tiny, seed 0: stopped by SIGTERM after {data['progress']}" in done.lines
