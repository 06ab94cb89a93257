"""The process that `benchmarks.fleet` measures: `python -m benchmarks.fleet_driver PLAN JOBS`. Imports only the fleet.

It has the units of a plan made, and prints JSON: when each was finished, and the memory of this process then.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.fleet.local import run_local
from harness.fleet.plan_file import read_plan
from zoo.progress import Step

WORKER = (sys.executable, "-m", "tests.helpers.fleet_worker")


@dataclass
class Progress:
    """When each unit was finished, after the start, and the memory of this process then."""

    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    @contextmanager
    def __call__(self, name: str, unit: str) -> Iterator[Step]:
        """Record the time and memory of each step."""
        yield self._step

    def _step(self, done: int, total: int, note: str = "", seconds_left: float | None = None) -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        self.seconds.append(time.perf_counter())
        self.megabytes.append(pages * os.sysconf("SC_PAGESIZE") / 1e6)


def main() -> None:
    """Make all units of a plan in a number of processes."""
    plan, jobs, progress = read_plan(Path(sys.argv[1])), int(sys.argv[2]), Progress()
    units = range(len(plan.units))
    run_local(plan, units, jobs, report=lambda _: None, show_progress=progress, command=WORKER)
    print(json.dumps(asdict(progress)))


if __name__ == "__main__":
    main()
