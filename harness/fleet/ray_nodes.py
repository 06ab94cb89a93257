"""The nodes of a Ray cluster: whether all of them see the plan, and how much of one a unit takes."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

from harness.fleet import ray_task
from harness.fleet.plan_file import Plan, Unit
from zoo.errors import SourceError, UsageError
from zoo.recipes.devices import kind_of, parse_devices
from zoo.recipes.options import RunOptions

Node = Mapping[str, Any]
"""A node as `ray.nodes()` describes it."""
LOOK_TIMEOUT = 120.0
"""Seconds that a node has to start a Ray worker and look at the plan's folder."""


@dataclass(frozen=True, kw_only=True)
class UnitSize:
    """How much of a node a unit takes."""

    cpus: int
    gpus: int
    memories: tuple[float, ...] = ()
    """The memory of each node that has so many cores and GPUs, in bytes."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for the process of a unit: it computes with the cores that it takes."""
        return {"OMP_NUM_THREADS": str(self.cpus)}

    def on(self, nodes: Sequence[Node]) -> "UnitSize":
        """Return the size on other nodes."""
        fitting = [
            node for node in nodes if _resource(node, "CPU") >= self.cpus and _resource(node, "GPU") >= self.gpus
        ]
        return replace(self, memories=tuple(_resource(node, "memory") for node in fitting))

    def options(self, unit: Unit) -> dict[str, Any]:
        """Return the options of the Ray task. A unit that needs more memory than any node has gets a whole node."""
        sizes: dict[str, Any] = {"num_cpus": self.cpus, "num_gpus": self.gpus}
        largest = max(self.memories, default=0.0)
        if unit.gigabytes and largest:
            sizes["memory"] = int(min(unit.gigabytes * 1e9, largest))
        return sizes

    def has_room(self, options: Mapping[str, Any]) -> bool:
        """Return whether a node has room for a task with these options. Ray would let any other task wait for ever."""
        return any(options.get("memory", 0) <= memory for memory in self.memories)

    def __str__(self) -> str:
        """The size for people, such as `4 cores and a GPU`."""
        return f"{self.cpus} core{'s' * (self.cpus != 1)}{' and a GPU' if self.gpus else ''}"


def size_of(nodes: Sequence[Node], options: RunOptions) -> UnitSize:
    """Return how much of a node each unit takes.

    On a CPU that is the number of cores in OMP_NUM_THREADS, by default one; with GPUs, one of them and its share of the
    cores.

    Args:
        nodes: The nodes.
        options: The device to compute on. `auto` is a GPU if a node has one.

    Raises:
        UsageError: No node has the device.
    """
    devices, kind = parse_devices(options.device), kind_of(options.device)
    if len(devices) > 1 or devices[0] not in ("auto", "cpu", "mps", "cuda", "cuda:0"):
        raise UsageError(f"--device {options.device}: Ray chooses the GPU of each run; pass --device cuda")
    with_gpu = [node for node in nodes if _resource(node, "GPU") >= 1]
    if kind == "cuda" and not with_gpu:
        raise UsageError(f"--device {options.device}: no node of the Ray cluster has a GPU, see `ray status`")
    if kind in (None, "cuda") and with_gpu:
        cpus = min(int(_resource(node, "CPU") // _resource(node, "GPU")) for node in with_gpu)
        return UnitSize(cpus=max(cpus, 1), gpus=1).on(nodes)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    most = max((int(_resource(node, "CPU")) for node in nodes), default=1)
    return UnitSize(cpus=max(min(int(threads) if threads.isdigit() else 1, most), 1), gpus=0).on(nodes)


def check_nodes(ray: Any, nodes: Sequence[Node], plan: Plan) -> None:
    """Check that each node sees the folder of the plan, by a small file, and can write there.

    Args:
        ray: The module `ray`, connected.
        nodes: The nodes.
        plan: The plan.

    Raises:
        SourceError: A node does not see the folder, or zoo cannot be imported there.
    """
    probe, content = plan.home / "ray" / f"probe-{uuid4().hex}", uuid4().hex
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text(content, encoding="utf-8")
        looks = [_look(ray, node, probe, plan.folder) for node in nodes]
        problems = [_problem(ray, node, look, probe, content) for node, look in zip(nodes, looks, strict=True)]
    except OSError as error:
        raise SourceError(f"{probe.parent}: cannot write there: {error.strerror or error}") from None
    finally:
        for file in probe.parent.glob(f"{probe.name}*"):
            file.unlink(missing_ok=True)
    if found := [problem for problem in problems if problem]:
        more = f" ({len(found) - 1} more nodes have problems)" if len(found) > 1 else ""
        raise SourceError(found[0] + more)


def _look(ray: Any, node: Node, probe: Path, folder: Path) -> Any:
    """Start a look at the folder on a node, and return the reference to what it sees."""
    strategies = import_module("ray.util.scheduling_strategies")
    there = strategies.NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
    options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": there, "name": "zoo look"}
    return ray.remote(ray_task.look).options(**options).remote(str(probe), str(folder))


def _problem(ray: Any, node: Node, look: Any, probe: Path, content: str) -> str:
    """Return what is wrong with a node; empty if nothing is."""
    host = f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
    try:
        seen = ray.get(look, timeout=LOOK_TIMEOUT)
    except ray.exceptions.RayError as error:
        if "No module named" in str(error):
            return f"{host} cannot import zoo; install zoo and ray for the Python that runs `ray start` there"
        return f"{host} does not run a task: {short_text(error)}; `ray status` shows its state"
    if "error" in seen:
        return f"{host}: {seen['error']}; {_ADVICE}"
    if seen["content"] != content or not probe.with_name(seen["answer"]).exists():
        return f"{host} sees another {probe.parent} than this machine; {_ADVICE}"
    return ""


_ADVICE = "all nodes must share the working directory and the folder of the records; pass a shared one to --records"


def short_text(error: Exception) -> str:
    """Return the last line of an error of Ray, which often holds a whole traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]


def _resource(node: Node, name: str) -> float:
    return float(node.get("Resources", {}).get(name, 0.0))
