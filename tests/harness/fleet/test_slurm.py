"""Units in the jobs of a small Slurm, which runs the batch script for real."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan
from harness.fleet.results import result_of
from harness.fleet.slurm import LATER, NEVER, run_slurm
from harness.fleet.slurm_config import SlurmConfig
from harness.fleet.slurm_script import SCRIPT, job_name
from harness.fleet.units import plan_units
from harness.fleet.work import unit_lock
from harness.records.record import read_record
from tests.helpers.fake_slurm import FakeSlurm, install
from tests.helpers.fleet_worker import plan_of
from tests.helpers.project import ROOT, Zoo
from tests.helpers.waiting import wait_until
from zoo.errors import SourceError, ZooError
from zoo.fetch.checksum import sha256
from zoo.progress import ShowProgress, ignore_progress
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import RunOptions, SourceOptions

pytestmark = pytest.mark.process
CONFIG = SlurmConfig(command=(sys.executable, "-m", "tests.helpers.fleet_worker"), cpus=1)
ODD = "ünits of 'a' \"b\" $HOME"
"""The name of a folder that a shell must not interpret."""
MakePlan = Callable[..., Plan]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    """Put a small Slurm on PATH."""
    cluster = install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{tmp_path / 'slurm' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(cluster.home))
    yield cluster
    cluster.end()


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePlan:
    """Write a plan of some trainings, with what each does, and return it."""
    folder = tmp_path / ODD
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def make(count: int, *, waves: Mapping[int, int] | None = None, jobs: int | None = None, **actions: str) -> Plan:
        options = RunOptions(train=True, records=folder / "runs", on="slurm", jobs=jobs)
        made = plan_of(plan_units([catalogue.select_one("digits-resnet8")], options, SourceOptions()), count)
        units = tuple(replace(unit, wave=(waves or {}).get(unit.index, 0)) for unit in made.units)
        (folder / "actions.json").write_text(json.dumps({name.removeprefix("u"): do for name, do in actions.items()}))
        planned = replace(made, units=units)
        planned.write()
        return planned

    return make


def run(plan: Plan, config: SlurmConfig = CONFIG, missing: Sequence[int] | None = None, **changes: Any) -> list[str]:
    messages: list[str] = []
    settings = {
        "fetch": lambda entries: {},
        "report": messages.append,
        "show_progress": ignore_progress,
        "poll": 0.05,
        "settle": 0.2,
    }
    run_slurm(plan, range(len(plan.units)) if missing is None else missing, config, **{**settings, **changes})
    return messages


def events(plan: Plan, index: int) -> list[str]:
    return [str(event["event"]) for event in journal_of(plan, index).events()]


def error_of(plan: Plan, index: int) -> str:
    return str(result_of(plan.units[index], plan, journal_of(plan, index).last()).error)


def whenever(condition: Callable[[], bool], act: Callable[[], None]) -> ShowProgress:
    """Show progress by doing something once, when a condition holds."""
    done: list[bool] = []

    def step(*_: object) -> None:
        if not done and condition():
            done.append(True)
            act()

    def show(name: str, unit: str) -> AbstractContextManager[Any]:
        return nullcontext(step)

    return show


def test_each_unit_is_a_task_and_failed_or_killed_ones_are_seen(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(6, jobs=4, u1="error", u2="kill once")
    messages = run(made)
    assert messages[0] == f"submitted job 1 with 6 tasks; logs: {made.home / 'slurm'}"
    assert sorted(messages[1:]) == [f"made digits-resnet8, seed {seed}" for seed in (0, 2, 3, 4, 5)]
    assert [events(made, index) for index in range(6)] == [
        ["started", "done"], ["started", "failed"], ["started", "started", "done"], *[["started", "done"]] * 3
    ]  # fmt: skip
    assert error_of(made, 1) == "nothing there"
    (job,) = slurm.submitted()
    assert (job["array"], job["time"], job["dependency"]) == ("0-5%4", "10", "")
    assert journal_of(made, 2).events()[0]["job"] == "1_2"
    assert len(list(made.records.glob("*/*/record.json"))) == 5
    log = (made.home / "slurm" / "1_2.log").read_text()
    assert "zoo ended with 137; task 1_2 is queued again" in log


@pytest.mark.slow
def test_students_wait_until_all_jobs_of_teachers_have_ended(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(6, waves={2: 1, 5: 1, 3: 2}, u0="error")
    run(made, replace(CONFIG, max_array_size=4))
    jobs = slurm.submitted()
    assert [(job["array"], job["arguments"], job["dependency"]) for job in jobs] == [
        ("0-1", ["0"], ""), ("0", ["4"], ""), ("2", ["0"], "afterany:1:2"), ("1", ["4"], "afterany:1:2"),
        ("3", ["0"], "afterany:1:2:3:4"),
    ]  # fmt: skip
    last = {index: journal_of(made, index).events()[-1] for index in range(6)}
    assert [last[index]["event"] for index in range(6)] == ["failed", *["done"] * 5]
    assert max(last[index]["time"] for index in (0, 1, 4)) <= journal_of(made, 2).events()[0]["time"]
    assert max(last[index]["time"] for index in (2, 5)) <= journal_of(made, 3).events()[0]["time"]


def test_a_signal_to_the_batch_shell_reaches_zoo_and_the_task_is_queued_again(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(1, u0="wait")

    def stop() -> None:
        os.kill(slurm.running()["1_0"], signal.SIGTERM)
        (made.folder / "go").touch()

    run(made, show_progress=whenever(lambda: events(made, 0) == ["started"], stop))
    assert events(made, 0) in (["started", "stopped", "started", "done"], ["started", "done"])
    assert events(made, 0)[1] == "stopped", (made.home / "slurm" / "1_0.log").read_text()
    assert [event.get("attempt") for event in journal_of(made, 0).events()] == [1, None, 2, None]


@pytest.mark.slow
def test_a_task_that_is_stopped_too_often_is_an_error_with_its_log(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(1, u0="stop")
    run(made, replace(CONFIG, max_requeues=2))
    assert events(made, 0) == [*["started", "stopped"] * 3, "failed"]
    log = made.home / "slurm" / "1_0.log"
    assert error_of(made, 0) == (
        "digits-resnet8, seed 0: not run: Slurm's task 1_0 was stopped by SIGTERM; the same command goes on from its"
        f" checkpoint; its log is {log}"
    )
    assert log.read_text().count("is queued again") == 2


@pytest.mark.slow
def test_a_task_that_is_killed_twice_is_an_error_with_its_log(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(2, u0="kill")
    run(made)
    assert [events(made, index) for index in (0, 1)] == [["started", "started", "failed"], ["started", "done"]]
    assert "task 1_0 was killed on" in error_of(made, 0)
    assert "in attempt 2; it may need more memory or time; its log is" in error_of(made, 0)


def test_a_task_that_ends_before_zoo_starts_is_an_error_with_its_log(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(1)
    run(made, replace(CONFIG, setup=("echo 'no such module'; exit 1",)))
    assert events(made, 0) == ["failed"]
    assert f"task 1_0 ended before zoo started; its log is {made.home / 'slurm' / '1_0.log'}" in error_of(made, 0)
    assert (made.home / "slurm" / "1_0.log").read_text() == "no such module\n"
    run(made, CONFIG)  # an earlier error does not count
    assert events(made, 0) == ["failed", "started", "done"]


def test_ctrl_c_leaves_the_jobs_and_the_same_command_waits_for_them(slurm: FakeSlurm, plan: MakePlan) -> None:
    made, messages = plan(3, u0="wait", u1="wait"), []

    def interrupt() -> None:
        raise KeyboardInterrupt

    are_running = whenever(lambda: {"1_0", "1_1"} == set(slurm.running()), interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(made, report=messages.append, show_progress=are_running)
    assert messages[-1] == (
        f"jobs that are submitted go on; the same command waits again. To cancel them: scancel --name={job_name(made)}"
    )
    waits = whenever(lambda: True, (made.folder / "go").touch)
    messages = run(made, missing=[0, 1], show_progress=waits)
    assert sorted(messages) == [f"made digits-resnet8, seed {seed}" for seed in (0, 1)]
    assert len(slurm.submitted()) == 1
    assert [events(made, index) for index in range(3)] == [["started", "done"]] * 3


@pytest.mark.slow
def test_ctrl_c_while_an_array_is_submitted_loses_no_job(slurm: FakeSlurm, plan: MakePlan) -> None:
    made, messages = plan(6, **{f"u{index}": "wait" for index in range(4)}), []
    config = replace(CONFIG, max_array_size=2)

    def report(message: str) -> None:
        messages.append(message)
        if message.startswith("submitted"):  # the second array is queued, but the command does not get its number
            (slurm.home / "interrupt").touch()

    with pytest.raises(KeyboardInterrupt):
        run(made, config, report=report)
    assert len(messages) == 2
    assert messages[1].endswith(f"scancel --name={job_name(made)}")
    assert [job["array"] for job in slurm.submitted()] == ["0-1", "0-1"]
    run(made, config, show_progress=whenever(lambda: True, (made.folder / "go").touch))
    assert [job["arguments"] for job in slurm.submitted()] == [["0"], ["2"], ["4"]]
    assert [events(made, index) for index in range(6)] == [["started", "done"]] * 6


@pytest.mark.slow
def test_a_job_that_slurm_never_got_is_submitted_again(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(1)
    written = {"id": "", "wave": 0, "first": 0, "units": [0], "before": [None]}
    (made.home / "slurm.json").write_text(json.dumps({"jobs": [written]}))
    run(made)
    assert [job["id"] for job in json.loads((made.home / "slurm.json").read_text())["jobs"]] == ["1"]
    assert events(made, 0) == ["started", "done"]


@pytest.mark.slow
def test_two_commands_at_once_submit_a_plan_once(slurm: FakeSlurm, plan: MakePlan) -> None:
    made, both = plan(2, u0="wait", u1="wait"), Barrier(2)

    def fetch(_: Sequence[Entry]) -> Mapping[Entry, ZooError]:
        both.wait(30)
        return {}

    goes_on = whenever(lambda: len(slurm.running()) >= 2, (made.folder / "go").touch)
    with ThreadPoolExecutor() as pool:
        commands = [pool.submit(run, made, fetch=fetch, show_progress=goes_on) for _ in range(2)]
        messages = [command.result() for command in commands]
    assert len(slurm.submitted()) == 1
    assert [events(made, index) for index in (0, 1)] == [["started", "done"]] * 2
    assert [sum(line.startswith("made") for line in lines) for lines in messages] == [2, 2]


@pytest.mark.slow
def test_runs_with_trusted_code_are_not_submitted_again_unless_the_code_has_changed(
    slurm: FakeSlurm, plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = plan(2, u1="error")
    made = replace(first, sources=SourceOptions(trust=["mycode"]))
    made.write()
    (made.folder / "mycode").mkdir()
    for name in ("__init__", "losses"):
        (made.folder / "mycode" / f"{name}.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(made.folder))
    run(made, missing=[0])
    (path,) = made.records.glob("*/*/record.json")
    names = ("mycode", "mycode.losses")
    code = {
        f"code:{name}": sha256(made.folder / "mycode" / file)
        for name, file in zip(names, ("__init__.py", "losses.py"), strict=True)
    }
    record = read_record(path)
    sources = {**record.identity.sources, "files": code}
    path.write_text(replace(record, identity=replace(record.identity, sources=sources)).sealed({}).to_json())
    wait_until(slurm.is_empty)
    messages = run(made)
    assert messages[0] == "1 run of earlier jobs will be judged; --fresh makes them again"
    assert [job["array"] for job in slurm.submitted()] == ["0", "1"]
    (made.folder / "mycode" / "losses.py").write_text("x = 1")
    wait_until(slurm.is_empty)
    run(made)
    assert [job["array"] for job in slurm.submitted()] == ["0", "1", "0-1"]


@pytest.mark.slow
def test_a_result_that_is_seen_late_is_not_overwritten(slurm: FakeSlurm, plan: MakePlan) -> None:
    made, lock, steps = plan(1), unit_lock(plan(1), 0), []
    assert lock.acquire(0)  # as by the process whose result a network file system does not show yet

    def finish() -> None:
        journal_of(made, 0).append("done", seconds=1.0)
        lock.release()

    def has_ended() -> bool:
        steps.append(bool(slurm.submitted()) and slurm.is_empty())
        return sum(steps) > 10

    run(made, replace(CONFIG, setup=("exit 1",)), show_progress=whenever(has_ended, finish))
    assert events(made, 0) == ["done"]


@pytest.mark.slow
def test_another_requeue_of_slurm_does_not_count_as_one_of_a_killed_process(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(1, u0="kill once")
    run(made, replace(CONFIG, environment={"SLURM_RESTART_COUNT": "3"}))
    assert events(made, 0) == ["started", "started", "done"]


def test_a_signal_after_the_end_of_a_run_does_not_queue_its_task_again(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(1, end="slowly")

    def stop() -> None:
        os.kill(slurm.running()["1_0"], signal.SIGTERM)

    run(made, show_progress=whenever(lambda: events(made, 0) == ["started", "done"], stop))
    wait_until(slurm.is_empty)
    assert "queued again" not in (made.home / "slurm" / "1_0.log").read_text()
    assert events(made, 0) == ["started", "done"]


@pytest.mark.slow
def test_variables_of_slurm_in_the_environment_change_nothing(
    slurm: FakeSlurm, plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SBATCH_ARRAY_INX", "SQUEUE_STATES", "SLURM_CLUSTERS"):
        monkeypatch.setenv(name, "other")
    made = plan(1, u0="kill once")
    run(made, replace(CONFIG, environment={"SQUEUE_FORMAT": "%i"}))
    assert events(made, 0) == ["started", "started", "done"]


@pytest.mark.slow
def test_arrays_with_a_limit_of_tasks_wait_for_each_other(slurm: FakeSlurm, plan: MakePlan) -> None:
    run(plan(3, jobs=1), replace(CONFIG, max_array_size=2))
    assert [(job["array"], job["dependency"]) for job in slurm.submitted()] == [("0-1%1", ""), ("0%1", "afterany:1")]


@pytest.mark.parametrize(
    ("reason", "never", "later"),
    [
        ("JobHeldUser", True, False), ("JobHeldAdmin", True, False), ("JobHoldMaxRequeue", True, False),
        ("launch failed requeued held", True, False), ("QOSMaxCpuPerJobLimit", True, False),
        ("AssocMaxWallDurationPerJobLimit", True, False), ("QOSMaxWallDurationPerJobLimit", True, False),
        ("MaxMemPerLimit", True, False), ("AssocGrpCPUMinutesLimit", True, False), ("PartitionTimeLimit", True, False),
        ("PartitionDown", False, True), ("PartitionInactive", False, True), ("ReqNodeNotAvail", False, True),
        ("Resources", False, False), ("Priority", False, False), ("Dependency", False, False),
        ("QOSMaxCpuPerUserLimit", False, False), ("QOSGrpGRES", False, False), ("BeginTime", False, False),
    ],
)  # fmt: skip
def test_reasons_that_do_not_end_by_themselves_are_known(reason: str, never: bool, later: bool) -> None:
    assert (bool(NEVER.search(reason)), bool(LATER.search(reason))) == (never, later)


def test_an_entry_that_cannot_be_fetched_is_not_submitted(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(2)

    def fetch(entries: Sequence[Entry]) -> Mapping[Entry, ZooError]:
        return dict.fromkeys(entries, SourceError("weights: not there"))

    run(made, fetch=fetch)
    assert slurm.submitted() == []
    assert error_of(made, 1) == "weights: not there"


def test_a_refused_job_is_an_error_with_the_message_of_sbatch(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(1)
    (slurm.home / "refuse").write_text("invalid partition specified: gpu")
    with pytest.raises(SourceError) as raised:
        run(made)
    script = made.home / "slurm.sh"
    assert str(raised.value) == (
        f"sbatch failed: sbatch: error: invalid partition specified: gpu. The script is {script}"
    )
    assert script.exists()


def test_a_machine_without_slurm_is_an_error(plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan(1)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SourceError) as raised:
        run(made)
    assert str(raised.value) == (
        "squeue: Slurm's commands were not found on this machine; run this command on a login node of the cluster"
    )
    assert not (made.home / SCRIPT).exists()


def test_a_queue_that_does_not_answer_is_asked_again(
    slurm: FakeSlurm, plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, squeue = plan(1, u0="wait"), slurm.home.parent / "bin" / "squeue"
    away = squeue.with_name("away")

    def fail() -> None:
        squeue.rename(away)
        squeue.write_text("#!/bin/sh\necho 'squeue: error: Unable to contact slurm controller' >&2\nexit 1\n")
        squeue.chmod(0o755)

    messages: list[str] = []

    def report(message: str) -> None:
        messages.append(message)
        if message.startswith("squeue failed"):
            away.rename(squeue)
            (made.folder / "go").touch()

    run(made, report=report, show_progress=whenever(lambda: events(made, 0) == ["started"], fail))
    assert messages[1].startswith("squeue failed: squeue: error: Unable to contact slurm controller. The script is")
    assert messages[2:] == ["made digits-resnet8, seed 0"]


@pytest.mark.slow
def test_a_command_without_slurm_finds_the_runs_of_jobs(slurm: FakeSlurm, zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "zoo.toml").write_text("[slurm]\ncpus = 1\nenvironment = {PYTHONPATH = '" + str(ROOT) + "'}\n")
    in_jobs = zoo("verify", "digits-resnet8", "--on", "slurm", "--records", "runs")
    assert in_jobs.code == 0, in_jobs.err
    assert "submitted job 1 with 1 task" in in_jobs.err
    records = list((tmp_path / "runs").glob("*/*/record.json"))
    here = zoo("verify", "digits-resnet8", "--records", "runs")
    assert (here.code, here.out) == (0, in_jobs.out)
    assert list((tmp_path / "runs").glob("*/*/record.json")) == records


def test_a_damaged_list_of_jobs_is_an_error_that_says_what_to_do(slurm: FakeSlurm, plan: MakePlan) -> None:
    made = plan(1)
    (made.home / "slurm.json").write_text("{")
    with pytest.raises(
        SourceError, match=r"slurm\.json: cannot be read: .*; delete it to submit all missing runs again"
    ):
        run(made)
