"""A small Ray, whose tasks are processes of this machine. It needs `tests/helpers/fake_ray` on the path.

The variable FAKE_RAY has JSON: `cpus`, the most tasks at a time (default 2), `gpus`, `nodes`, and `die`: part of the
name of a task -> a pattern of files; its first worker is killed once such a file is there. With `resources`, those of
each node, a task that no living node fits does not start. If `lost` is a pattern, the first node, with all workers, is
lost once such a file is there.
"""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import exceptions

SETTINGS = {
    "cpus": 2,
    "gpus": 0,
    "nodes": 1,
    "die": {},
    "resources": [],
    "lost": "",
    **json.loads(os.environ.get("FAKE_RAY", "{}")),
}
FORK = multiprocessing.get_context("fork")
tasks: "list[Task]" = []
lost: list[int] = []
"""The numbers of the nodes that are lost."""


@dataclass(eq=False)
class Task:
    """A task, which is its own reference."""

    function: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    process: Any = None
    pipe: Any = None
    starts: int = 0
    result: Any = None
    cancelled: bool = False
    done: bool = field(default=False)

    def start(self) -> None:
        """Start a worker."""
        self.starts += 1
        self.pipe, end = FORK.Pipe()
        self.process = FORK.Process(target=_work, args=(self, end))
        self.process.start()
        end.close()
        for part, pattern in SETTINGS["die"].items():
            if self.starts == 1 and part in self.options["name"]:
                while not list(Path().glob(pattern)):
                    time.sleep(0.02)
                self.process.kill()

    def poll(self) -> bool:
        """Return whether the task is finished. A worker that died is replaced."""
        if self.done or self.process is None or self.process.is_alive():
            return self.done
        try:
            self.result = self.pipe.recv()
        except EOFError:
            if not self.cancelled and self.starts <= self.options["max_retries"]:
                self.process = None
                return False
            self.result = exceptions.WorkerCrashedError("the worker died")
        self.pipe.close()
        self.done = True
        return True


def _work(task: Task, end: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.closerange(3, end.fileno())  # a worker of Ray is no child of the driver, and shares none of its files
    os.closerange(end.fileno() + 1, 1024)
    try:
        result = task.function(*task.arguments)
    except KeyboardInterrupt:
        result = exceptions.TaskCancelledError("cancelled")
    except Exception as error:
        result = exceptions.RayTaskError(str(error))
    end.send(result)


@dataclass
class Remote:
    """A function that runs as a task."""

    function: Any
    settings: dict[str, Any] = field(default_factory=dict)

    def options(self, **settings: Any) -> "Remote":
        """Return the function with options."""
        return Remote(self.function, settings)

    def remote(self, *arguments: Any) -> Task:
        """Submit a task."""
        task = Task(self.function, arguments, self.settings)
        tasks.append(task)
        _start_tasks()
        return task


remote = Remote


def _start_tasks() -> None:
    room = SETTINGS["cpus"] - sum(task.process is not None and not task.poll() for task in tasks)
    for task in tasks:
        if task.process is None and not task.done and room > 0 and _fits(task):
            task.start()
            room -= 1


def _fits(task: Task) -> bool:
    needs = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
    living = [node["Resources"] for node in nodes() if node["Alive"]]
    return any(all(has.get(name, 0) >= task.options.get(need, 0) for name, need in needs.items()) for has in living)


def init(**_: Any) -> None:
    """Connect. An address `nowhere` has no cluster."""
    if _["address"] == "nowhere":
        raise ConnectionError("no cluster there")


def shutdown() -> None:
    """End all workers."""
    for task in tasks:
        if task.process is not None:
            task.process.kill()


def nodes() -> list[dict[str, Any]]:
    """Return the nodes."""
    if SETTINGS["lost"] and not lost and list(Path().glob(SETTINGS["lost"])):
        lost.append(0)
        for task in tasks:
            if task.process is not None:
                task.process.kill()
    alike = {"CPU": SETTINGS["cpus"], "GPU": SETTINGS["gpus"], "memory": 1e9}
    resources = SETTINGS["resources"] or [alike] * SETTINGS["nodes"]
    return [
        {
            "NodeID": f"{number:06}", "NodeManagerHostname": f"node{number}", "NodeManagerAddress": f"10.0.0.{number}",
            "Alive": number not in lost, "Resources": has,
        }
        for number, has in enumerate(resources)
    ]  # fmt: skip


@dataclass
class RuntimeContext:
    """The job of the driver."""

    def get_job_id(self) -> str:
        """Return the number of the job."""
        return "01000000"


get_runtime_context = RuntimeContext


def cluster_resources() -> dict[str, float]:
    """Return the resources of all nodes."""
    return {"CPU": SETTINGS["cpus"]}


def wait(references: list[Task], *, num_returns: int, timeout: float) -> tuple[list[Task], list[Task]]:
    """Wait for tasks."""
    end = time.monotonic() + timeout
    while True:
        _start_tasks()
        ready = [task for task in references if task.poll()]
        if len(ready) >= num_returns or time.monotonic() > end:
            return ready[:num_returns], [task for task in references if task not in ready[:num_returns]]
        time.sleep(0.02)


def get(reference: Task, timeout: float = 60) -> Any:
    """Return a result, or raise the error of the task."""
    wait([reference], num_returns=1, timeout=timeout)
    if isinstance(reference.result, Exception):
        raise reference.result
    return reference.result


def cancel(reference: Task) -> None:
    """Interrupt a task."""
    reference.cancelled = True
    if reference.process is None:
        reference.result, reference.done = exceptions.TaskCancelledError("cancelled"), True
    elif reference.process.is_alive():
        os.kill(reference.process.pid, signal.SIGINT)
