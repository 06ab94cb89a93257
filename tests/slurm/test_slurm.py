"""The starter suite and a training in a real Slurm of one node. Slurm starts a task again 120 seconds after it ended.

Skipped where Slurm is absent: `make nightly` unpacks Debian's packages, see `tests.slurm.cluster`.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.project import ROOT
from tests.slurm.cluster import Cluster, find_slurm

FOUND = find_slurm()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.process,
    pytest.mark.skipif(FOUND is None, reason="slurmctld and slurmd are not here"),
]
CONFIG = '[slurm]\ncpus = 1\nmemory = "1G"\n'


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start a Slurm of one node."""
    assert FOUND is not None
    started = Cluster(FOUND, tmp_path_factory.mktemp("slurm"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a working directory with a name that a shell must not interpret."""
    made = tmp_path / "ünits of 'a' \"b\" $HOME %d"
    made.mkdir()
    return made


def zoo_of(cluster: Cluster, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start a command of zoo with its runs in `folder/runs`."""
    environment = {**cluster.environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "zoo", *arguments, "--on", "slurm", "--records", "runs"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def journals(folder: Path) -> dict[int, list[dict[str, Any]]]:
    files = (folder / "runs").glob(".fleet/*/units/*.jsonl")
    return {int(file.stem): [json.loads(line) for line in file.read_text().splitlines()] for file in files}


def kinds(folder: Path) -> dict[int, list[str]]:
    return {index: [event["event"] for event in events] for index, events in sorted(journals(folder).items())}


def wait_until(condition: Callable[[], object], command: "subprocess.Popen[str]", seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert command.poll() is None, command.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)


def test_an_array_of_six_completes_though_one_task_is_killed(cluster: Cluster, folder: Path) -> None:
    (folder / "zoo.toml").write_text(CONFIG)
    with zoo_of(cluster, folder, "verify", "--suite", "starter", "--json") as command:
        wait_until(lambda: journals(folder).get(0), command)
        os.kill(int(journals(folder)[0][0]["pid"]), signal.SIGKILL)
        out, err = command.communicate(timeout=1200)
    assert command.returncode == 0, err
    submitted = re.search(r"submitted job (\d+) with 6 tasks", err)
    assert submitted, err
    assert {entry["verdict"] for entry in json.loads(out)["entries"]} == {"reproduced"}
    assert kinds(folder) == {0: ["started", "started", "done"], **{index: ["started", "done"] for index in range(1, 6)}}
    assert len(list((folder / "runs").glob("*/*/record.json"))) == 6
    (log,) = (folder / "runs").glob(f".fleet/*/slurm/{submitted[1]}_0.log")
    assert f"zoo ended with 137; task {submitted[1]}_0 is queued again" in log.read_text()


def test_a_training_goes_on_after_its_time_limit(cluster: Cluster, folder: Path) -> None:
    (folder / "wall.toml").write_text(CONFIG + 'time = "1"\ngrace = 20\n')
    recipe = (ROOT / "configs" / "starter" / "digits-resnet8.yaml").read_text()
    (folder / "long.yaml").write_text(re.sub(r"epochs: \d+", "epochs: 250", recipe))
    options = ("--train", "--seeds", "1", "--slurm-config", "wall.toml")
    with zoo_of(cluster, folder, "verify", "long.yaml", *options, "--json") as command:
        out, err = command.communicate(timeout=1800)
    assert json.loads(out)["entries"], err
    (events,) = kinds(folder).values()
    attempts = events.count("started")
    assert attempts > 1
    assert events == [*["started", "stopped"] * (attempts - 1), "started", "done"]
    assert len(list((folder / "runs").glob("*/*/record.json"))) == 1
    (log,) = (folder / "runs").glob(".fleet/*/slurm/*_0.log")
    assert log.read_text().count("zoo ended with 143") == attempts - 1


def test_a_canceled_task_is_not_queued_again(cluster: Cluster, folder: Path) -> None:
    (folder / "zoo.toml").write_text(CONFIG)
    recipe = (ROOT / "configs" / "starter" / "digits-resnet8.yaml").read_text()
    (folder / "long.yaml").write_text(re.sub(r"epochs: \d+", "epochs: 2500", recipe))
    with zoo_of(cluster, folder, "verify", "long.yaml", "--train", "--seeds", "1") as command:
        wait_until(lambda: journals(folder).get(0), command)
        cluster.call("scancel", str(journals(folder)[0][0]["job"]))
        _, err = command.communicate(timeout=600)
    assert command.returncode == 4
    assert re.search(r"Slurm's task \d+_0 was (stopped by SIGTERM|killed).*; its log is .*_0\.log", err)
    assert kinds(folder)[0][-1] == "failed"
    assert cluster.call("squeue", "-h") == ""
