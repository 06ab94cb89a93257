"""Show the runs that a command would make, and how long they may take."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.cli import render
from zoo.text_tables import counted

if TYPE_CHECKING:
    from harness.fleet.slurm_script import SlurmPreview
    from harness.runs.expected_times import ExpectedTime
    from harness.runs.plan import PlannedRuns

HERE = "here"
"""`measured_on` of times of this machine and device."""
Downloads = Mapping[str, int | None]
"""Entry -> the bytes that have to be downloaded before its runs; None if they are unknown."""


def plan_data(planned: Sequence["PlannedRuns"], downloads: Downloads) -> dict[str, Any]:
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
                "measured_on": runs.time.measured_on or None,
                "scale": runs.time.scale,
                "memory_bytes": runs.memory,
                "disk_bytes": None if runs.disk is None else runs.disk * runs.missing,
                "download_bytes": downloads.get(runs.entry.name),
            }
            for runs in planned
        ]
    }


def plan_table(planned: Sequence["PlannedRuns"], downloads: Downloads) -> str:
    """Return a plan as a table with its totals."""
    rows = [
        [
            f"{runs.entry.name}{f' (teacher of {runs.teacher_of})' if runs.teacher_of else ''}",
            "train" if runs.mode == "retrain" else "evaluate",
            runs.missing,
            duration(runs.expected_seconds),
            amount(downloads.get(runs.entry.name)),
            amount(runs.memory),
        ]
        for runs in planned
    ]
    headers = ["entry", "run", "missing", "time", "download", "memory"]
    lines = [render.table(headers, rows, flexible=(0,)), "", render.wrapped(total_line(planned), "")]
    needing = [runs for runs in planned if runs.missing]
    sizes = {runs.entry.name: downloads.get(runs.entry.name) for runs in needing}
    if any(sizes.values()):
        lines.append(f"to download: {amount(sum(size or 0 for size in sizes.values()))}{_unknown(sizes)}")
    if any(runs.disk for runs in needing):
        lines.append(f"disk for the runs: {amount(sum((runs.disk or 0) * runs.missing for runs in needing))}")
    return "\n".join(lines)


def amount(size: int | None) -> str:
    """Return a number of bytes in the largest unit that fits, such as `1.5 GB`; `unknown` for None."""
    if size is None:
        return "unknown"
    for unit, length in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= length:
            return f"{size / length:,.1f} {unit}"
    return f"{size} B"


def _unknown(sizes: Downloads) -> str:
    count = sum(size is None for size in sizes.values())
    return f", and files of {counted(count, 'entry', 'entries')} whose size is unknown" if count else ""


def slurm_text(planned: Sequence["PlannedRuns"], downloads: Downloads, preview: "SlurmPreview") -> str:
    """Return the script, the table of the runs, and the commands that would submit them, as a script of shell."""
    table = [f"# {line}".rstrip() for line in plan_table(planned, downloads).splitlines()]
    return "\n".join([f"# {preview.path}", preview.script, *table, f"# {_tasks(preview)}", *preview.commands])


def _tasks(preview: "SlurmPreview") -> str:
    """Return how many tasks are submitted, and what for."""
    if not preview.tasks:
        return "nothing to submit"
    text = f"{counted(preview.tasks, 'task')} to submit"
    if not preview.confirming:
        return text
    runs = "confirms a run that exists" if preview.confirming == 1 else "confirm runs that exist"
    return f"{text}; {preview.confirming} of them only {runs}"


def total_line(planned: Sequence["PlannedRuns"]) -> str:
    """Return the number of missing runs and their expected time on one line."""
    missing = sum(runs.missing for runs in planned)
    teachers = sum(runs.missing for runs in planned if runs.teacher_of)
    timed = [runs for runs in planned if runs.expected_seconds]
    unknown = [runs for runs in planned if runs.expected_seconds is None]
    seconds = sum(runs.expected_seconds or 0.0 for runs in timed)
    parts = [f"about {duration(seconds)} without the start of Python, {_where(timed)}"] if timed else []
    parts += [_without_time(unknown)] if unknown else []
    of_teachers = f", {teachers} of them for teachers" if teachers else ""
    return f"{missing} run{'s' * (missing != 1)} to make{of_teachers}{''.join(f'; {part}' for part in parts)}"


def _where(timed: Sequence["PlannedRuns"]) -> str:
    """Return where times were measured, and how they were scaled."""
    places = list(dict.fromkeys(_place(runs.time) for runs in timed))
    return f"measured {', or '.join(places)}" if len(places) < 3 else "measured on several machines"


def _place(time: "ExpectedTime") -> str:
    if time.measured_on == HERE:
        return "here"
    device, _, threads = time.measured_on.partition(", ")
    place = f"on a CPU{f' with {threads}' if threads else ''}" if device == "cpu" else f"on {time.measured_on}"
    if time.scale is None:
        return place
    entries = counted(time.scaled_by, "entry", "entries")
    return f"{place} and multiplied by {time.scale:.2g}, the ratio of {entries} also run here"


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
