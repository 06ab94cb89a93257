"""Make the units of a plan on a Ray cluster, one task each. A process of its own uses the optional package `ray`."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from harness.fleet.local import COMMAND, GRACE_SECONDS, report_unit
from harness.fleet.plan_file import Plan
from harness.fleet.results import error_of
from zoo.errors import SourceError, TimeIsUp, UsageError
from zoo.progress import Report, ShowProgress, Step

DRIVER = (sys.executable, "-m", "harness.fleet.ray_driver")
CLIENT = "ray://"
"""How the addresses of Ray Client start."""


def run_ray(
    plan: Plan,
    missing: Collection[int],
    jobs: int | None,
    *,
    address: str | None,
    report: Report,
    show_progress: ShowProgress,
    seconds: float | None = None,
    command: Sequence[str] = COMMAND[1:],
) -> None:
    """Make units as tasks of a Ray cluster, and return when all of them are done or have failed.

    Args:
        plan: The plan; its file exists, in a folder that all nodes see.
        missing: The numbers of the units to make.
        jobs: The most units at a time; None for as many as the cluster has room for.
        address: The cluster, such as `10.0.0.1:6379` or `auto`; None to start one on this machine.
        report: Called with the messages of a unit once it is finished.
        show_progress: Shows how many units are finished.
        seconds: The time limit of the processes; None for no limit.
        command: The arguments of Python that start a worker.

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM, or the time is up; the processes have ended.
        SourceError: The cluster cannot be used, or was lost.
        UsageError: Ray is not installed, or a device or address is not for Ray.
    """
    check_ray(address)
    request = {
        "plan": str(plan.file), "missing": sorted(missing), "address": address, "jobs": jobs, "command": list(command),
        "end": None if seconds is None else time.time() + seconds,
    }  # fmt: skip
    with show_progress("all runs", "runs") as progress:
        progress(0, len(missing))
        with _started(plan, request) as driver:
            try:
                _follow(driver, plan, len(missing), report, progress)
            except KeyboardInterrupt:
                for index in _stopped(driver):
                    report_unit(plan, index, report)
                raise


def check_ray(address: str | None) -> None:
    """Raise UsageError if Ray is not installed, or if an address is one of Ray Client."""
    if find_spec("ray") is None:
        raise UsageError("--on ray needs the package ray: pip install ray")
    if address is not None and address.startswith(CLIENT):
        raise UsageError(
            f"--ray-address {address}: run zoo on a node of the cluster, and pass its HOST:PORT, or 'auto'"
        )


class _Driver(subprocess.Popen[str]):
    """The process that uses Ray. It ends, with all tasks, when its stdin is closed."""

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Yield what the process prints, until it ends."""
        assert self.stdout is not None
        for line in self.stdout:
            yield json.loads(line)

    def __exit__(self, *_: object) -> None:
        """Wait for the end of the process."""
        assert self.stdin is not None and self.stdout is not None
        with suppress(OSError):
            self.stdin.close()
        try:
            self.wait(GRACE_SECONDS + 30)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self.kill()
            self.wait()
        self.stdout.close()


def _started(plan: Plan, request: Mapping[str, Any]) -> _Driver:
    log = plan.home / "ray" / "driver.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            driver = _Driver(
                DRIVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=plan.folder, text=True,
                encoding="utf-8", start_new_session=True,  # Ctrl-C reaches this process only, which passes it on once
            )  # fmt: skip
    except OSError as error:
        raise SourceError(f"{log}: a process of zoo cannot be started: {error.strerror or error}") from None
    assert driver.stdin is not None
    with suppress(OSError):  # a process that has ended is noticed when its output is read
        driver.stdin.write(json.dumps(request) + "\n")
        driver.stdin.flush()
    return driver


def _follow(driver: _Driver, plan: Plan, count: int, report: Report, progress: Step) -> None:
    """Report what the process does, until all units are finished."""
    done, note = 0, ""
    for event in driver.events():
        match event["event"]:
            case "finished":
                done += 1
                report_unit(plan, event["unit"], report)
            case "nodes":
                note = f"{event['number']} node{'s' * (event['number'] != 1)}"
            case "report":
                report(event["text"])
            case "error":
                raise error_of(event)
            case "late":
                raise TimeIsUp
            case "end":
                return
        progress(done, count, note)
    log = plan.home / "ray" / "driver.log"
    raise SourceError(f"the Ray cluster was lost after {done} of {count} runs ({log}); the same command goes on")


def _stopped(driver: _Driver) -> list[int]:
    """End all tasks, and return the units that were being made. A second Ctrl-C ends them at once."""
    driver.send_signal(signal.SIGTERM)
    try:
        return [event["unit"] for event in driver.events() if event["event"] == "finished"]
    except KeyboardInterrupt:
        driver.kill()
        return []
