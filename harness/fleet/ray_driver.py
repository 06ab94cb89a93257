"""The process that uses Ray: `python -m harness.fleet.ray_driver`, started by `harness.fleet.ray_cluster`.

Ray writes much to stderr, takes over SIGTERM, and ends its process when the cluster is lost. In a process of its own
it does that without harm to the command. It reads a request from stdin, one line of JSON, prints what happens, one line
of JSON each, and ends when stdin is closed.
"""

import json
import os
import signal
import sys
from collections import deque
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import Any

from harness.fleet.journal import error_data
from harness.fleet.plan_file import read_plan
from harness.fleet.ray_nodes import check_nodes, short_text, size_of
from harness.fleet.ray_units import MAX_RETRIES, Emit, RayUnits, Request
from harness.fleet.schedule import scheduled
from zoo.errors import SourceError, Terminated, TimeIsUp, ZooError

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning about CUDA_VISIBLE_DEVICES
    "RAY_task_oom_retries": str(MAX_RETRIES),  # Ray's default is to try for ever
}
STARTED = {"include_dashboard": False, "object_store_memory": 80_000_000}
"""Settings of a cluster that is started here. The object store, of the smallest size that Ray accepts, stays empty."""


def connect(address: str | None) -> Any:
    """Return the module `ray`, connected to a cluster, which is started here without an address.

    Raises:
        SourceError: The cluster cannot be reached or started.
    """
    os.environ.update(SETTINGS)
    if address is None:
        os.environ.setdefault("RAY_AUTH_TOKEN", token_hex(32))  # otherwise Ray writes one into the home folder
    ray = import_module("ray")
    settings: dict[str, Any] = {"address": address} if address else {"address": "local", **STARTED}
    for last in (False, True):
        try:
            ray.init(log_to_driver=False, logging_level="WARNING", **settings)
            break
        except Exception as error:  # Ray has no common class for these errors
            if address is None and not last:  # on a busy machine one of its processes may need longer than 15 s
                continue
            where = f"the Ray cluster at {address} cannot be used" if address else "Ray cannot start here"
            advice = (
                "`ray status` on its head node shows its nodes" if address else "see driver.log in the plan's folder"
            )
            raise SourceError(f"{where}: {short_text(error)}; {advice}") from None
    return ray


def run(request: Request, emit: Emit) -> None:
    """Make the units of a request.

    Raises:
        ZooError: The cluster cannot make them.
        KeyboardInterrupt: SIGINT or SIGTERM; no process is left.
    """
    ray = connect(request.address)
    signal.signal(signal.SIGTERM, _terminate)  # Ray has set a handler of its own
    try:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        check_nodes(ray, nodes, request.plan)
        units = deque(request.plan.units[index] for index in scheduled(request.plan, request.missing))
        tasks = RayUnits(ray, request, emit, size_of(nodes, request.plan.options), units)
        try:
            tasks.make()
        except KeyboardInterrupt:
            tasks.stop()
            raise
    finally:
        ray.shutdown()


def read_request(line: str) -> Request:
    """Return the request in a line of JSON. Raises ZooError if the plan cannot be read."""
    data = json.loads(line)
    return Request(**{**data, "plan": read_plan(Path(data["plan"]))})


def main() -> None:
    """Read a request, and make its units."""
    signal.signal(signal.SIGTERM, _terminate)
    output = os.dup(1)
    os.dup2(2, 1)  # what Ray prints goes into the log

    def emit(event: str, **facts: Any) -> None:
        with suppress(BrokenPipeError):  # the command was killed
            os.write(output, (json.dumps({"event": event, **facts}) + "\n").encode())

    line = sys.stdin.readline()
    Thread(target=_end_with_stdin, daemon=True).start()
    try:
        run(read_request(line), emit)
    except ZooError as error:
        emit("error", **error_data(error))
    except TimeIsUp:
        emit("late")
    except KeyboardInterrupt:
        emit("stopped")
    else:
        emit("end")


def _end_with_stdin() -> None:
    """End this process as SIGTERM does when the command that started it is gone."""
    while os.read(0, 4096):  # not `sys.stdin`, whose lock a forked process would inherit
        continue
    os.kill(os.getpid(), signal.SIGTERM)


def _terminate(*_: object) -> None:
    raise Terminated


if __name__ == "__main__":
    main()
