"""The entries that earlier nights tried, in a JSON file. Without it only the times and the waits are lost."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from zoo.files import write_atomically

LONGEST_WAIT = 32
"""Days that an entry waits at most after a failure."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """The last time that a night tried an entry, and what earlier times have shown."""

    tried: date
    succeeded: date | None = None
    """When the entry was verified last."""
    seconds: float | None = None
    """How long it took then, with its downloads."""
    failures: int = 0
    """How many times in a row it has failed."""
    problem: str = ""
    """Why it has failed."""

    @property
    def next_try(self) -> date:
        """The first day on which the entry may be tried: after a failure it waits 2 days, then 4, 8, 16 and 32."""
        wait = min(2**self.failures, LONGEST_WAIT) if self.failures else 0
        return self.tried + timedelta(days=wait)


def succeeded(day: date, seconds: float) -> Attempt:
    """Return the attempt of an entry that was verified."""
    return Attempt(tried=day, succeeded=day, seconds=round(seconds, 1))


def failed(before: Attempt | None, day: date, problem: str, seconds: float | None = None) -> Attempt:
    """Return the attempt of an entry that failed.

    Args:
        before: The last attempt of the entry, if there is one.
        day: The day of the failure.
        problem: Why it failed.
        seconds: The time it had, if it failed because that was too short: it needs more.
    """
    known = before or Attempt(tried=day)
    return replace(
        known, tried=day, failures=known.failures + 1, problem=problem, seconds=seconds or known.seconds
    )  # fmt: skip


def read_attempts(path: Path) -> dict[str, Attempt]:
    """Return the attempts in a file, by entry; none if there is no file."""
    if not path.is_file():
        return {}
    return {name: _attempt(data) for name, data in json.loads(path.read_text(encoding="utf-8")).items()}


def write_attempts(path: Path, attempts: Mapping[str, Attempt]) -> None:
    """Write attempts to a file."""
    data = {name: asdict(attempt) for name, attempt in sorted(attempts.items())}
    write_atomically(path, json.dumps(data, indent=1, default=str) + "\n")


def _attempt(data: dict[str, object]) -> Attempt:
    days = {name: date.fromisoformat(str(data[name])) for name in ("tried", "succeeded") if data[name] is not None}
    return Attempt(**{**data, **days})  # type: ignore[arg-type]
