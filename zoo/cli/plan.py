"""Show the runs that a command would make, and how long they may take."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zoo.cli import render

if TYPE_CHECKING:
    from harness.runs.plan import PlannedRuns


def plan_data(planned: Sequence["PlannedRuns"]) -> dict[str, Any]:
    """Return the JSON of a plan."""
    return {
        "plan": [
            {
                "entry": runs.entry.name,
                "mode": runs.mode,
                "seeds": list(runs.seeds),
                "missing": runs.missing,
                "teacher_of": runs.teacher_of or None,
                "expected_seconds": runs.expected_seconds,
                "measured_on": runs.measured_on or None,
            }
            for runs in planned
        ]
    }


def plan_table(planned: Sequence["PlannedRuns"]) -> str:
    """Return a plan as a table with its total."""
    rows = [
        [
            f"{runs.entry.name}{f' (teacher of {runs.teacher_of})' if runs.teacher_of else ''}",
            "train" if runs.mode == "retrain" else "evaluate",
            max(len(runs.seeds), 1),
            runs.missing,
            duration(runs.expected_seconds),
            runs.measured_on or "-",
        ]
        for runs in planned
    ]
    headers = ["entry", "run", "runs", "missing", "time", "measured on"]
    return f"{render.table(headers, rows, flexible=(0, 5))}\n\n{render.wrapped(total_line(planned), '')}"


def total_line(planned: Sequence["PlannedRuns"]) -> str:
    """Return the number of missing runs and their expected time on one line."""
    missing = sum(runs.missing for runs in planned)
    teachers = sum(runs.missing for runs in planned if runs.teacher_of)
    timed = [runs for runs in planned if runs.expected_seconds]
    unknown = [runs for runs in planned if runs.expected_seconds is None]
    parts = [f"about {duration(sum(runs.expected_seconds or 0.0 for runs in timed))}{_where(timed)}"] if timed else []
    parts += [_without_time(unknown)] if unknown else []
    of_teachers = f", {teachers} of them for teachers" if teachers else ""
    return f"{missing} run{'s' * (missing != 1)} to make{of_teachers}{''.join(f'; {part}' for part in parts)}"


def _where(timed: Sequence["PlannedRuns"]) -> str:
    """Return where times were measured, unless it was here."""
    places = list(dict.fromkeys(runs.measured_on for runs in timed))
    if places == ["here"]:
        return ""
    return (
        f" at the speed of the recorded runs ({'; '.join(places)})" if len(places) < 3 else " at their recorded speed"
    )


def _without_time(unknown: Sequence["PlannedRuns"]) -> str:
    """Return for how many runs no time can be estimated, and why."""
    names, runs = {runs.entry.name for runs in unknown}, sum(runs.missing for runs in unknown)
    of_entries = f"{names.pop()} has" if len(names) == 1 else f"these {len(names)} entries have"
    return f"no time estimate for {runs} of them: {of_entries} no earlier run to go by"


def duration(seconds: float | None) -> str:
    """Return a time in the largest unit that fits, such as `3 min`; `unknown` for None."""
    if seconds is None:
        return "unknown"
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
