"""A real Ray cluster of three nodes: the runs are those of one machine, also if a node is lost in the middle."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from harness.records.find_runs import read_all
from tests.helpers.project import ROOT, Write, Zoo
from tests.helpers.waiting import wait_until

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.process,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install ray"),
]
UNITS = 40


class Cluster:
    """Three nodes with one core each, in another process."""

    def __init__(self) -> None:
        """Start the nodes."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.ray_nodes", "3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address, "the nodes did not start"

    def kill_a_node(self) -> None:
        """Kill all processes of a node."""
        assert self.process.stdin is not None
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cluster]:
    """Start three nodes; stop them after the test."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)  # otherwise Ray writes one into the home folder
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    started = Cluster()
    yield started
    started.process.communicate()


def runs(folder: Path) -> dict[int | None, Any]:
    """What was computed, by seed."""
    found = [record for _, record in read_all(folder)]
    compared = {
        record.identity.seed: (
            record.identity, record.results, record.weights,
            {name: digest for name, digest in record.files.items() if "predictions" in name},
        )
        for record in found
    }  # fmt: skip
    assert len(compared) == len(found)
    return compared


def test_a_killed_node_changes_no_run(cluster: Cluster, zoo_process: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    command = ["verify", recipe_file(), "--train", "--seeds", UNITS, "--device", "cpu", "--fail-on", "none"]
    environment = {"PYTHONPATH": os.environ["PYTHONPATH"], "ZOO_HOME": str(tmp_path / "home")}
    with subprocess.Popen(
        [sys.executable, "-m", "zoo", *map(str, command), "--records", "ray", "--on", "ray", "--ray-address",
         cluster.address],
        cwd=tmp_path, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as zoo:  # fmt: skip
        wait_until(lambda: len(list(tmp_path.glob("ray/tiny/*/record.json"))) >= UNITS // 4, 600)
        cluster.kill_a_node()
        _, errors = zoo.communicate()
    assert zoo.returncode == 0, errors
    assert "lost the node" in errors
    local = zoo_process(*command, "--records", "local", "--on", "local", "--jobs", "2")
    assert local.code == 0, local.err
    made = runs(tmp_path / "ray")
    assert sorted(made) == list(range(UNITS))
    assert made == runs(tmp_path / "local")


def test_a_unit_that_fails_is_reported_and_the_others_go_on(cluster: Cluster, zoo_process: Zoo) -> None:
    done = zoo_process(
        "verify", "digits-resnet8", "minilm-l6-wnli", "--on", "ray", "--ray-address", cluster.address, "--records", "r",
        PYTHONPATH=os.environ["PYTHONPATH"],
    )  # fmt: skip
    assert done.code != 0
    assert "minilm-l6-wnli" in done.out
    assert "1 reproduced" in done.out
