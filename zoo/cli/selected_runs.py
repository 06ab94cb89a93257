"""Select runs that exist by their names."""

from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from zoo.cli.options import argument
from zoo.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from harness.runs.stored_runs import StoredRun

RUN = "The folder of a run, its name in the list, an entry, ENTRY:SEED, ENTRY:weights, or a glob of these."
Selected = Annotated[list[str] | None, argument("RUN", f"{RUN} Default: all runs.")]


def selected_runs(found: Sequence["StoredRun"], patterns: Sequence[str], suites: Sequence[str]) -> list["StoredRun"]:
    """Return the runs that patterns and suites select, in order. Raise UsageError if a pattern selects none."""
    of_suites = [run for run in found if not suites or run.suite in suites]
    for pattern in patterns:
        if not any(_matches(run, pattern) for run in of_suites):
            names = sorted({run.entry for run in found})
            raise UsageError(f"no run matches {pattern!r}{did_you_mean(pattern, names)}; `zoo runs` lists the runs")
    return [run for run in of_suites if not patterns or any(_matches(run, pattern) for pattern in patterns)]


def run_name(run: "StoredRun") -> str:
    """Return the name of a run as a user types it: ENTRY:SEED or ENTRY:weights, else its folder."""
    if run.record is None or run.state == "damaged":
        return f"{run.entry}/{run.folder.name}" if run.state == "damaged" else run.folder.name
    return f"{run.entry}:{'weights' if run.seed is None else run.seed}"


def _matches(run: "StoredRun", pattern: str) -> bool:
    names = (run.entry, run_name(run), run.folder.name, f"{run.entry}/{run.folder.name}")
    if any(fnmatchcase(name, pattern) for name in names):
        return True
    with suppress(OSError, ValueError, RuntimeError):  # no path of this machine: too long, or with a strange "~"
        if "/" in pattern or Path(pattern).exists():
            folder = run.folder.resolve()
            return Path(pattern).expanduser().resolve() in (folder, folder / "record.json")
    return False
