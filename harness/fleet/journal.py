"""The journal of a unit: what happened to it, one line each, written by the process that makes it."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any, Literal

from harness.fleet.plan_file import Plan
from zoo.errors import SourceError, ZooError
from zoo.files import is_disk_full

Event = Literal["started", "done", "failed", "stopped"]
EVENTS = ("started", "done", "failed", "stopped")
JOBS = ("SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID", "RAY_JOB_ID", "JOB_ID")
"""Environment variables with the number of the job that a scheduler runs."""
MAX_ERROR = 2000
"""The most characters of an error's message in a journal."""


@dataclass(frozen=True)
class Journal:
    """The file of one unit's events. Only the process that holds the unit's lock appends to it."""

    path: Path

    def append(self, event: Event, **facts: Any) -> None:
        """Append an event with the time. An incomplete last line, of a process that was killed, is closed first.

        Raises:
            SourceError: The file cannot be written.
        """
        line = json.dumps({"event": event, "time": round(time(), 3), **facts}) + "\n"
        try:
            self._write(line.encode())
        except OSError as error:
            advice = "free some space" if is_disk_full(error) else "make the folder writable"
            raise SourceError(
                f"{self.path}: cannot write the journal: {error.strerror or error}; {advice}, then repeat this command."
                " Runs with a record are not made again"
            ) from None

    def _write(self, line: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)

    def start(self, attempt: int) -> None:
        """Append that this process starts to make the unit."""
        self.append("started", host=socket.gethostname(), pid=os.getpid(), job=job_id(), attempt=attempt)

    def fail(self, error: ZooError, **facts: Any) -> None:
        """Append that the unit has failed; `facts` may have the seconds that it took, and messages."""
        self.append("failed", **{"seconds": 0.0, **facts}, **error_data(error))

    def events(self) -> list[Mapping[str, Any]]:
        """Return the events, oldest first. Lines that are incomplete or no events are left out."""
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return []
        return [event for line in lines if (event := _parsed(line)) is not None]

    def last(self) -> Mapping[str, Any] | None:
        """Return the newest event, or None."""
        events = self.events()
        return events[-1] if events else None


def journal_of(plan: Plan, index: int) -> Journal:
    """Return the journal of a unit of a plan."""
    return Journal(plan.home / "units" / f"{index:05d}.jsonl")


def error_data(error: ZooError) -> dict[str, Any]:
    """Return the kind, text and exit code of an error as plain data."""
    return {"error": str(error)[:MAX_ERROR], "kind": type(error).__name__, "code": error.exit_code}


def job_id() -> str | None:
    """Return the number of the scheduler's job that this process belongs to, with that of the task in an array."""
    name = next((os.environ[variable] for variable in JOBS if os.environ.get(variable)), None)
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{name}_{task}" if name and task else name


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    is_event = isinstance(event, dict) and event.get("event") in EVENTS and isinstance(event.get("time"), int | float)
    return event if is_event else None
