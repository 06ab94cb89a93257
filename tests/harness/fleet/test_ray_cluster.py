"""Units as tasks of Ray, with a small Ray of our own: `tests/helpers/fake_ray`."""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

from harness.fleet import ray_cluster
from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan, plan_data
from harness.fleet.ray_cluster import run_ray
from harness.fleet.ray_nodes import check_nodes, size_of
from harness.fleet.ray_task import make_unit
from harness.fleet.results import result_of
from harness.fleet.units import plan_units
from tests.helpers.fleet_worker import plan_of
from tests.helpers.project import ROOT
from tests.helpers.waiting import wait_until
from zoo.errors import SourceError, Terminated, TimeIsUp, UsageError
from zoo.progress import ignore_progress
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions

pytestmark = pytest.mark.process
FAKE = ROOT / "tests" / "helpers" / "fake_ray"
MakePlan = Callable[..., Plan]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePlan:
    """Write a plan of some trainings, with what each does, for the small Ray; return it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{FAKE}")
    monkeypatch.syspath_prepend(FAKE)

    def make(count: int, waves: tuple[int, ...] = (), settings: dict[str, Any] | None = None, **actions: str) -> Plan:
        options = RunOptions(train=True, records=tmp_path / "runs")
        made = plan_of(plan_units([catalogue.select_one("digits-resnet8")], options, SourceOptions()), count)
        units = tuple(replace(unit, wave=dict(enumerate(waves)).get(unit.index, 0)) for unit in made.units)
        (tmp_path / "actions.json").write_text(json.dumps({name.removeprefix("u"): do for name, do in actions.items()}))
        monkeypatch.setenv("FAKE_RAY", json.dumps(settings or {}))
        made = replace(made, units=units)
        made.write()
        return made

    return make


def run(plan: Plan, address: str | None = None, jobs: int | None = None, seconds: float | None = None) -> list[str]:
    messages: list[str] = []
    run_ray(
        plan, range(len(plan.units)), jobs, address=address, report=messages.append, show_progress=ignore_progress,
        seconds=seconds,
        command=["-m", "tests.helpers.fleet_worker"],
    )  # fmt: skip
    return messages


def events(plan: Plan, index: int) -> list[str]:
    return [str(event["event"]) for event in journal_of(plan, index).events()]


def records(plan: Plan) -> int:
    return len(list(plan.records.glob("*/*/record.json")))


def test_every_unit_is_made_once_and_an_error_is_that_of_its_unit_only(plan: MakePlan) -> None:
    made = plan(4, u1="error")
    assert sorted(run(made)) == [f"made digits-resnet8, seed {seed}" for seed in (0, 2, 3)]
    ended = [events(made, index) for index in range(4)]
    assert ended == [["started", "done"], ["started", "failed"], ["started", "done"], ["started", "done"]]
    results = [result_of(unit, made, journal_of(made, unit.index).last()) for unit in made.units]
    assert [len(result.runs) for result in results] == [1, 0, 1, 1]
    assert str(results[1].error) == "nothing there"
    assert [path.name for path in (made.home / "ray").iterdir()] == ["driver.log"]


@pytest.mark.slow
def test_the_longest_runs_start_first(plan: MakePlan) -> None:
    made = plan(3)
    units = [replace(unit, seconds=seconds) for unit, seconds in zip(made.units, (1.0, 9.0, 5.0), strict=True)]
    made.file.write_text(json.dumps(plan_data(replace(made, units=tuple(units)))))
    run(made, jobs=1)
    started = [float(journal_of(made, index).events()[0]["time"]) for index in (1, 2, 0)]
    assert started == sorted(started)


@pytest.mark.slow
def test_a_unit_whose_process_is_killed_is_made_again_once(plan: MakePlan) -> None:
    made = plan(3, u0="kill", u1="kill once")
    run(made)
    assert [events(made, index) for index in (0, 1)] == [["started"] * 2, ["started", "started", "done"]]
    assert "was killed while it made this run" in str(result_of(made.units[0], made, journal_of(made, 0).last()).error)
    assert records(made) == 2


@pytest.mark.slow
def test_when_a_worker_of_ray_dies_its_process_saves_and_the_unit_goes_on_elsewhere(
    plan: MakePlan, tmp_path: Path
) -> None:
    made = plan(2, u0="wait", settings={"die": {"zoo 0 ": "runs/.fleet/*/units/00000.jsonl"}})
    Thread(target=lambda: (wait_until(lambda: "stopped" in events(made, 0)), (tmp_path / "go").touch())).start()
    run(made)
    assert events(made, 0) == ["started", "stopped", "started", "done"]
    assert records(made) == 2


@pytest.mark.slow
def test_students_wait_for_their_teachers(plan: MakePlan) -> None:
    made = plan(4, waves=(0, 0, 1, 1), settings={"cpus": 4})
    run(made)
    times = [[float(event["time"]) for event in journal_of(made, index).events()] for index in range(4)]
    assert max(times[0][1], times[1][1]) <= min(times[2][0], times[3][0])


@pytest.mark.slow
def test_jobs_limits_the_units_at_a_time(plan: MakePlan) -> None:
    made = plan(3, settings={"cpus": 4})
    run(made, jobs=1)
    times = [[float(event["time"]) for event in journal_of(made, index).events()] for index in range(3)]
    assert times[0][1] <= times[1][0] <= times[1][1] <= times[2][0]


def test_a_signal_cancels_all_tasks_and_no_process_is_left(plan: MakePlan) -> None:
    made = plan(4, u0="wait", u1="wait")

    def interrupt() -> None:
        wait_until(lambda: all(events(made, index) for index in (0, 1)))
        os.kill(os.getpid(), signal.SIGTERM)

    def terminate(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        Thread(target=interrupt).start()
        with pytest.raises(Terminated):
            run(made)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [events(made, index) for index in range(4)] == [["started", "stopped"], ["started", "stopped"], [], []]
    pids = [journal_of(made, index).events()[0]["pid"] for index in (0, 1)]
    assert not any(psutil.pid_exists(int(pid)) for pid in pids)


@pytest.mark.slow
def test_a_lost_cluster_is_an_error_and_the_processes_end(plan: MakePlan) -> None:
    made = plan(2, u0="wait")

    def kill() -> None:
        wait_until(lambda: bool(events(made, 0)) and events(made, 1)[-1:] == ["done"])
        (driver,) = [each for each in psutil.Process().children() if "ray_driver" in " ".join(each.cmdline())]
        driver.kill()

    Thread(target=kill).start()
    with pytest.raises(SourceError, match=r"the Ray cluster was lost after . of 2 runs .*; the same command goes on"):
        run(made)
    pid = journal_of(made, 0).events()[0]["pid"]
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: events(made, 0)[-1] == "stopped")


@pytest.mark.slow
def test_the_time_limit_of_a_process_ends_the_command(plan: MakePlan) -> None:
    made = plan(3, u1="late")
    with pytest.raises(TimeIsUp):
        run(made, jobs=1, seconds=100)
    assert [events(made, index) for index in range(3)] == [["started", "done"], ["started", "stopped"], []]
    assert journal_of(made, 1).events()[1]["why"] == "time limit"


@pytest.mark.slow
def test_units_that_no_node_has_room_for_are_errors_after_a_node_is_lost(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    nodes = [{"CPU": 8, "memory": 9e9}, {"CPU": 2, "memory": 9e9}]
    made = plan(3, u0="wait", settings={"resources": nodes, "lost": "runs/.fleet/*/units/00000.jsonl", "cpus": 1})
    messages = run(made)
    assert messages == ["lost the node node0 (000000); its runs are made on another one"]
    assert [events(made, index) for index in range(3)] == [["started", "stopped", "failed"], ["failed"], ["failed"]]
    for unit in made.units:
        assert str(result_of(unit, made, journal_of(made, unit.index).last()).error) == (
            f"{unit.name}: not run: no node of the Ray cluster has 4 cores; `ray status` lists the nodes"
        )


@pytest.mark.slow
def test_a_unit_with_the_memory_of_a_lost_node_gets_a_whole_other_one(plan: MakePlan, tmp_path: Path) -> None:
    nodes = [{"CPU": 8, "memory": 9e9}, {"CPU": 8, "memory": 5e9}]
    made = plan(1, u0="wait", settings={"resources": nodes, "lost": "runs/.fleet/*/units/00000.jsonl"})
    large = replace(made, units=tuple(replace(unit, gigabytes=7.0) for unit in made.units))
    large.write()
    Thread(target=lambda: (wait_until(lambda: "stopped" in events(large, 0)), (tmp_path / "go").touch())).start()
    run(large)
    assert events(large, 0) == ["started", "stopped", "started", "done"]


def test_only_the_number_of_a_unit_says_that_it_is_finished(tmp_path: Path) -> None:
    """A process that was told to end would not notice that its worker of Ray is killed."""
    script = """if True:
        import select, sys
        assert sys.stdin.readline() == "3\\n"
        print("a library says 3\\n33", flush=True)
        assert not select.select([sys.stdin], [], [], 0.5)[0]
        print("", 3, sep="\\n", flush=True)
        assert sys.stdin.readline() == "end\\n"
    """
    assert make_unit(["-c", script], 3, str(tmp_path), str(tmp_path / "log"), {}, 1.0, None) == 0


def test_a_cluster_that_does_not_answer_is_an_error(plan: MakePlan) -> None:
    with pytest.raises(SourceError, match="the Ray cluster at nowhere cannot be used: no cluster there; `ray status`"):
        run(plan(1), address="nowhere")


def test_a_node_that_does_not_see_the_folder_is_named(plan: MakePlan, tmp_path: Path) -> None:
    made = plan(1)
    ray = import_module("ray")
    check_nodes(ray, ray.nodes(), made)
    elsewhere = replace(made, folder=tmp_path / "other")
    with pytest.raises(SourceError, match=r"node node0 \(10.0.0.0\): No such file.*/other; all nodes must share"):
        check_nodes(ray, ray.nodes(), elsewhere)
    assert not list((made.home / "ray").iterdir())
    sys.modules.pop("ray")


def test_ray_is_an_optional_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install ray"):
        ray_cluster.check_ray(None)


def test_the_addresses_of_ray_client_are_refused(plan: MakePlan) -> None:
    with pytest.raises(UsageError, match="run zoo on a node of the cluster"):
        run(plan(1), address="ray://10.0.0.1:10001")


CPU_NODE = {"Resources": {"CPU": 16.0, "memory": 32e9}}
GPU_NODE = {"Resources": {"CPU": 16.0, "GPU": 4.0, "memory": 64e9}}


@pytest.mark.parametrize(
    ("device", "nodes", "threads", "size"),
    [
        (None, [CPU_NODE], "", (1, 0)),
        ("cpu", [CPU_NODE, GPU_NODE], "4", (4, 0)),
        ("cpu", [CPU_NODE], "64", (16, 0)),
        (None, [CPU_NODE, GPU_NODE], "", (4, 1)),
        ("cuda", [GPU_NODE], "1", (4, 1)),
    ],
)
def test_a_unit_takes_a_share_of_a_node(
    device: str | None,
    nodes: list[dict[str, Any]],
    threads: str,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    found = size_of(nodes, RunOptions(device=device))
    assert (found.cpus, found.gpus) == size
    assert found.environment == {"OMP_NUM_THREADS": str(size[0])}


def test_a_unit_asks_for_its_memory_but_never_for_more_than_a_node_has(plan: MakePlan) -> None:
    (unit,), size = plan(1).units, size_of([CPU_NODE], RunOptions())
    assert "memory" not in size.options(replace(unit, gigabytes=None))
    assert [size.options(replace(unit, gigabytes=each))["memory"] for each in (2.0, 99.0)] == [2_000_000_000, 32e9]


@pytest.mark.parametrize(
    ("device", "nodes", "threads", "memory"),
    [
        ("cuda", [{"CPU": 64.0, "memory": 500e9}, {"CPU": 16.0, "GPU": 1.0, "memory": 50e9}], "1", 50e9),
        ("cpu", [{"CPU": 64.0, "memory": 100e9}, {"CPU": 8.0, "memory": 500e9}], "32", 100e9),
    ],
)
def test_one_node_has_the_cores_the_gpu_and_the_memory_of_a_unit(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch, device: str, nodes: list[Any], threads: str, memory: float
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    size = size_of([{"Resources": each} for each in nodes], RunOptions(device=device))
    assert size.options(replace(plan(1).units[0], gigabytes=120.0))["memory"] == memory


@pytest.mark.parametrize(("device", "why"), [("cuda", "has a GPU"), ("cuda:1", "Ray chooses the GPU")])
def test_a_device_that_no_node_has_is_refused(device: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        size_of([CPU_NODE], RunOptions(device=device))


def test_an_address_needs_ray() -> None:
    with pytest.raises(UsageError, match="--ray-address needs --on ray"):
        RunOptions(ray_address="auto")
