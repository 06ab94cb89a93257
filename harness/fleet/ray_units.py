"""The units of a request as tasks of Ray: which ones Ray has, and what becomes of them."""

import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.fleet import ray_task
from harness.fleet.journal import journal_of
from harness.fleet.local import ATTEMPTS, GRACE_SECONDS, STOPPED
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.ray_nodes import Node, UnitSize, short_text
from harness.fleet.work import unit_lock
from zoo.error_translation import translate_errors
from zoo.errors import SourceError, TimeIsUp

MAX_RETRIES = 3
"""How many times Ray starts a task again, if its worker or its node dies."""
IN_FLIGHT = 256
"""The most tasks that Ray has at a time, unless its cluster has half as many cores."""
LOOK_SECONDS = 5.0
"""Seconds between two looks at the nodes."""
LOCK_SECONDS = 5.0
"""Seconds to wait until processes on a lost node, which may live, have released the locks of their units."""
PASSED_ON = ("HF_ENDPOINT", "HF_HOME", "HF_HUB_OFFLINE", "PYTHONPATH")
"""Variables of the environment that the processes on the nodes get, besides those that start with ZOO_. No secrets."""
Emit = Callable[..., None]
"""Prints an event with these facts."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The units that a command wants to have made, and how."""

    plan: Plan
    missing: Sequence[int]
    address: str | None
    """The cluster; None to start one on this machine."""
    jobs: int | None
    """The most units at a time; None for as many as the cluster has room for."""
    command: Sequence[str]
    """The arguments of Python that start `zoo run-unit`."""
    end: float | None = None
    """When the time of its processes ends, in seconds since 1970; None for no limit."""


@dataclass
class RayUnits:
    """Has units made as tasks of Ray."""

    ray: Any
    """The module, connected."""
    request: Request
    emit: Emit
    size: UnitSize
    waiting: deque[Unit]
    running: dict[Any, Unit] = field(default_factory=dict)
    """The units that Ray has, by the reference to the result of their task."""
    asked: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The options of the last task of each unit."""
    started: Counter[int] = field(default_factory=Counter)
    looked: float = 0.0
    nodes: set[str] = field(default_factory=set)

    def make(self) -> None:
        """Have all units made, and print the number of each that is finished, also if it has failed."""
        while self.waiting or self.running:
            self._look_at_nodes()
            self._submit()
            if not self.running:  # all of them have failed
                continue
            ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=LOOK_SECONDS)
            for reference in ready:
                self._finish(self.running.pop(reference), reference)

    def stop(self) -> None:
        """Cancel all tasks, and wait until their processes have saved a checkpoint and ended."""
        self.waiting.clear()
        for reference in self.running:
            self.ray.cancel(reference)
        end = time.monotonic() + GRACE_SECONDS + 10
        while self.running and time.monotonic() < end:
            try:
                ready, _ = self.ray.wait(list(self.running), num_returns=len(self.running), timeout=1)
            except KeyboardInterrupt:
                continue
            for reference in ready:
                self.emit("finished", unit=self.running.pop(reference).index)

    def _submit(self) -> None:
        """Give units to Ray as long as there is room. Students wait until their teachers are trained."""
        most = self.request.jobs or max(IN_FLIGHT, 2 * int(self.ray.cluster_resources().get("CPU", 0)))
        lowest = min((unit.wave for unit in self.running.values()), default=sys.maxsize)
        while self.waiting and len(self.running) < most and self.waiting[0].wave <= lowest:
            unit = self.waiting.popleft()
            lowest = min(lowest, unit.wave)
            self.started[unit.index] += 1
            self.running[self._task(unit)] = unit

    def _task(self, unit: Unit) -> Any:
        """Start the task of a unit and return the reference to its result."""
        plan = self.request.plan
        self.asked[unit.index] = self.size.options(unit)
        options = {
            **self.asked[unit.index], "name": f"zoo {unit.index} {unit.name}", "max_retries": MAX_RETRIES
        }  # fmt: skip
        return self.ray.remote(ray_task.make_unit).options(**options).remote(
            [*self.request.command, str(plan.file), "--index", "-"], unit.index, str(plan.folder),
            str(_log(plan, unit)), self._environment(), GRACE_SECONDS, self.request.end,
        )  # fmt: skip

    def _environment(self) -> Mapping[str, str]:
        """Return the variables of this environment that the processes on the nodes get, and those of this job."""
        passed = {name: value for name, value in os.environ.items() if name.startswith("ZOO_") or name in PASSED_ON}
        return {**passed, **self.size.environment, "RAY_JOB_ID": self.ray.get_runtime_context().get_job_id()}

    def _finish(self, unit: Unit, reference: Any) -> None:
        """Print that a unit is finished, or start it again if its process was killed."""
        try:
            code = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            self.emit("report", text=f"{unit.name}: Ray could not make this run: {short_text(error)}")
            code = 0
        if code < 0 and self.started[unit.index] < ATTEMPTS:
            self.waiting.appendleft(unit)
            return
        if STOPPED.get(code) is TimeIsUp:
            self.emit("finished", unit=unit.index)
            raise TimeIsUp
        if code > 0:
            self.emit(
                "report", text=f"{unit.name}: its process ended with code {code}; see {_log(self.request.plan, unit)}"
            )
        self.emit("finished", unit=unit.index)

    def _look_at_nodes(self) -> None:
        """Print the number of nodes when it changes, and the names of those that are lost."""
        if time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        nodes = [node for node in self.ray.nodes() if node["Alive"]]
        alive = {f"{node['NodeManagerHostname']} ({node['NodeID'][:6]})" for node in nodes}
        for lost in sorted(self.nodes - alive):
            self.emit("report", text=f"lost the node {lost}; its runs are made on another one")
        if alive != self.nodes:
            self.emit("nodes", number=len(alive))
            self._fit(nodes)
        self.nodes = alive

    def _fit(self, nodes: Sequence[Node]) -> None:
        """Ask anew for room for the tasks that no living node has room for. Without any such node they fail."""
        self.size = self.size.on(nodes)
        for reference, unit in reversed(list(self.running.items())):
            if not self.size.has_room(self.asked[unit.index]):
                self.ray.cancel(reference)
                del self.running[reference]
                self.started[unit.index] -= 1
                self.waiting.appendleft(unit)
        end = time.monotonic() + LOCK_SECONDS
        while self.waiting and not self.size.memories:
            self._fail(self.waiting.popleft(), max(end - time.monotonic(), 0.0))

    def _fail(self, unit: Unit, seconds: float) -> None:
        """Write that no node has room for a unit. Wait first for the last words of its process on a lost node."""
        plan, text = self.request.plan, f"no node of the Ray cluster has {self.size}; `ray status` lists the nodes"
        lock = unit_lock(plan, unit.index)
        with translate_errors(str(lock.path)):
            lock.acquire(seconds)
            try:
                journal_of(plan, unit.index).fail(SourceError(f"{unit.name}: not run: {text}"))
            finally:
                lock.release()
        self.emit("finished", unit=unit.index)


def _log(plan: Plan, unit: Unit) -> Path:
    return plan.home / "ray" / f"{unit.index:05d}.log"
