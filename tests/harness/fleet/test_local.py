"""Units in several processes: each is made once, also if processes are killed, and no process is left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psutil
import pytest

from harness.fleet.journal import journal_of
from harness.fleet.local import run_local
from harness.fleet.plan_file import Plan, read_plan
from harness.fleet.results import result_of
from harness.fleet.units import plan_units
from tests.helpers.fleet_worker import plan_of
from tests.helpers.project import ROOT
from tests.helpers.waiting import wait_until
from zoo.errors import Terminated
from zoo.progress import Step, ignore_progress
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions

pytestmark = pytest.mark.process
WORKER = (sys.executable, "-m", "tests.helpers.fleet_worker")


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Write a plan of some trainings, with what each does, and return it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def make(count: int, **actions: str) -> Plan:
        options = RunOptions(train=True, records=tmp_path / "runs")
        made = plan_of(plan_units([catalogue.select_one("digits-resnet8")], options, SourceOptions()), count)
        (tmp_path / "actions.json").write_text(json.dumps({name.removeprefix("u"): do for name, do in actions.items()}))
        made.write()
        return made

    return make


def run(plan: Plan, jobs: int = 2) -> list[str]:
    messages: list[str] = []
    missing = range(len(plan.units))
    run_local(plan, missing, jobs, report=messages.append, show_progress=ignore_progress, command=WORKER)
    return messages


def events(plan: Plan, index: int) -> list[str]:
    return [str(event["event"]) for event in journal_of(plan, index).events()]


def test_every_unit_is_made_once_by_one_of_the_processes(plan: Callable[..., Plan]) -> None:
    made = plan(7)
    messages = run(made)
    assert sorted(messages) == [f"made digits-resnet8, seed {seed}" for seed in range(7)]
    assert all(events(made, index) == ["started", "done"] for index in range(7))
    assert len(list(made.records.glob("*/*/record.json"))) == 7
    assert 1 <= len({journal_of(made, index).events()[0]["pid"] for index in range(7)}) <= 2


def test_an_error_is_that_of_its_unit_only(plan: Callable[..., Plan]) -> None:
    made = plan(3, u1="error")
    run(made)
    results = [result_of(unit, made, journal_of(made, unit.index).last()) for unit in made.units]
    assert [len(result.runs) for result in results] == [1, 0, 1]
    assert (str(results[1].error), results[1].error.exit_code if results[1].error else 0) == ("nothing there", 4)


def test_a_unit_whose_process_is_killed_is_made_again(plan: Callable[..., Plan]) -> None:
    made = plan(4, u1="kill once")
    run(made)
    assert events(made, 1) == ["started", "started", "done"]
    assert len(list(made.records.glob("*/*/record.json"))) == 4


def test_a_unit_is_not_given_to_a_process_that_is_about_to_end(plan: Callable[..., Plan]) -> None:
    made = plan(2, u1="kill once at the end", end="slowly")
    run(made)
    assert events(made, 1) == ["started", "started", "done"]


def test_a_unit_that_kills_each_process_is_an_error_that_names_the_process(plan: Callable[..., Plan]) -> None:
    made = plan(4, u0="kill")
    run(made, jobs=1)
    assert events(made, 0) == ["started", "started"]
    error = result_of(made.units[0], made, journal_of(made, 0).last()).error
    assert "was killed while it made this run. If memory ran out, try fewer --jobs" in str(error)
    assert len(list(made.records.glob("*/*/record.json"))) == 3


def error_of(plan: Plan, index: int) -> str:
    return str(result_of(plan.units[index], plan, journal_of(plan, index).last()).error)


def test_a_worker_that_cannot_start_is_an_error_with_its_exit_code_and_log(plan: Callable[..., Plan]) -> None:
    made = plan(1)
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    run_local(made, [0], 1, report=print, show_progress=ignore_progress, command=command)
    log = made.home / "workers" / "0.log"
    assert log.is_file()
    assert f"not run: its process ended with exit code 3; the reason is at the end of {log}" in error_of(made, 0)


def test_a_damaged_plan_is_repaired_by_the_same_command(plan: Callable[..., Plan]) -> None:
    made = plan(1)
    whole = made.file.read_text()
    for damaged in ("", whole[:-100], whole.replace('"seed": 0', '"seed": 1')):
        made.file.write_text(damaged)
        made.write()
        assert made.file.read_text() == whole
    run(made, 1)
    assert events(made, 0) == ["started", "done"]


@pytest.mark.parametrize("missing", [[0], [0, 1, 2]])
def test_the_share_of_the_threads_depends_on_the_number_of_jobs_alone(
    plan: Callable[..., Plan], tmp_path: Path, missing: list[int]
) -> None:
    made = plan(3)
    command = [sys.executable, "-c", "import sys; open('arguments', 'a').write(sys.argv[-1] + ' ')"]
    run_local(made, missing, 2, report=print, show_progress=ignore_progress, command=command)
    counts = {text.partition("/")[2] for text in (tmp_path / "arguments").read_text().split()}
    assert counts == {"2"}


NOISY = """
import os, sys, time
from tests.helpers import fleet_worker
make, output = fleet_worker.make, os.dup(1)
def noisy(plan, unit, messages):
    os.write({}, b"0\\n1\\nloading my model\\n")
    time.sleep(0.3)
    return make(plan, unit, messages)
fleet_worker.make = noisy
fleet_worker.main()
"""


@pytest.mark.parametrize("descriptor", ["1", "output"])
@pytest.mark.slow
def test_what_a_model_prints_is_no_finished_unit(plan: Callable[..., Plan], descriptor: str) -> None:
    made = plan(4)
    done: list[int] = []

    @contextmanager
    def show(name: str, unit: str) -> Iterator[Step]:
        yield lambda finished, total, note="": done.append(finished - len(_finished(made)))

    command = [sys.executable, "-c", NOISY.format(descriptor)]
    run_local(made, [2, 3], 1, report=print, show_progress=show, command=command)
    assert done == [0, 0, 0]


def _finished(plan: Plan) -> list[int]:
    return [unit.index for unit in plan.units if events(plan, unit.index)[-1:] == ["done"]]


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_ends_all_processes_and_is_written_down(
    plan: Callable[..., Plan], number: signal.Signals, error: type[BaseException]
) -> None:
    made = plan(5, u0="wait", u1="wait")

    def interrupt() -> None:
        wait_until(lambda: all(events(made, index) for index in (0, 1)))
        os.kill(os.getpid(), number)

    before = signal.signal(number, _raising(error))
    try:
        Thread(target=interrupt).start()
        with pytest.raises(error):
            run(made)
    finally:
        signal.signal(number, before)
    assert [events(made, index)[-1:] for index in (0, 1)] == [["stopped"], ["stopped"]]
    why = "Ctrl-C" if error is KeyboardInterrupt else "SIGTERM"
    assert (journal_of(made, 0).last() or {})["why"] == why
    assert events(made, 4) == []


@pytest.mark.slow
def test_processes_end_when_the_command_is_killed(plan: Callable[..., Plan], tmp_path: Path) -> None:
    made = plan(2, u0="wait", u1="wait")
    code = (
        "import sys; from pathlib import Path; from harness.fleet.local import run_local;"
        "from harness.fleet.plan_file import read_plan; from zoo.progress import Step, ignore_progress;"
        f"run_local(read_plan(Path({str(made.file)!r})), [0, 1], 2, report=print, show_progress=ignore_progress,"
        f" command={WORKER!r})"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ}) as command:
        wait_until(lambda: all(events(made, index) for index in (0, 1)))
        pids = [int(journal_of(made, index).events()[0]["pid"]) for index in (0, 1)]
        command.kill()
    wait_until(lambda: all(events(made, index)[-1] == "stopped" for index in (0, 1)))
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_plan_is_read_as_it_was_written(plan: Callable[..., Plan]) -> None:
    made = plan(3)
    read = read_plan(made.home)
    assert read == made
    assert read.id == made.id


def _raising(error: type[BaseException]) -> Callable[..., None]:
    def handle(*_: object) -> None:
        raise error

    return handle
