"""Commands for the plans of many machines: plan and status."""

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from zoo import paths
from zoo.api.verify_entries import download_sizes, planned_runs
from zoo.cli import fleet_text, render
from zoo.cli.command_function import Without, command
from zoo.cli.exit_codes import UNFINISHED, end
from zoo.cli.options import OUTPUT, WHAT, All, Json, Patterns, Records, Suites, Where, argument, option
from zoo.cli.plan import Downloads, amount, duration, plan_data, plan_table
from zoo.cli.progress import report, session_of
from zoo.errors import UsageError
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import RunOptions, SourceOptions
from zoo.text_tables import counted, first_of

if TYPE_CHECKING:
    from harness.fleet.plan_file import Plan
    from harness.fleet.status import PlanStatus
    from harness.runs.plan import PlannedRuns

PlanOptions = Annotated[RunOptions, Without(("jobs", "on", "ray_address", "slurm_config", "time_limit"))]
"""The options of a plan, which does not say where and for how long its runs are made."""
SECONDS_BETWEEN_LOOKS = 2.0
LISTED = 5
"""The most entries that a message names."""
LeftOut = tuple[float | None, str]
"""What an entry that limits leave out needs, in seconds or bytes, and its name with that need as text."""


@command
def plan(
    options: PlanOptions,
    sources: SourceOptions,
    patterns: Patterns = None,
    suite: Suites = None,
    where: Where = None,
    everything: All = False,
    max_hours: Annotated[
        float | None,
        option(
            "--max-hours",
            "Leave out entries when the expected time of all runs exceeds this, and those of unknown time. Default: no"
            " limit.",
            WHAT,
            "H",
            min=0,
        ),
    ] = None,
    max_bytes: Annotated[
        str | None,
        option(
            "--max-bytes",
            "Leave out entries when the downloads exceed this size together, such as 20GB, and those of unknown size."
            " Default: no limit.",
            WHAT,
            "SIZE",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the runs that claims need into a plan, which any number of machines can work on.

    Prints the missing runs with their expected time, downloads and memory, as --dry-run of `zoo verify` does.

    Example: zoo plan --suite glue --train --max-hours 8
    """
    from harness.fleet.dispatch import note_made_units
    from harness.fleet.units import in_order, plan_units

    session = session_of(sources)
    entries = session.entries.select(patterns or [], suite or [], everything, where=where)
    planned, downloads = planned_runs(session, entries, options), download_sizes(session, entries, train=options.train)
    chosen = _within(entries, planned, downloads, max_hours, max_bytes)
    planned = in_order([runs for runs in planned if (runs.teacher_of or runs.entry.name) in chosen])
    made = plan_units([entry for entry in entries if entry.name in chosen], options, sources)
    file = made.write()
    note_made_units(made)
    data = {**plan_data(planned, downloads), "file": str(file), "units": len(made.units)}
    text = f"{plan_table(planned, downloads)}\n\n{_plan_advice(made)}"
    render.emit(data, text, as_json=as_json)


def _within(
    entries: list[Entry],
    planned: "Sequence[PlannedRuns]",
    downloads: Downloads,
    max_hours: float | None,
    max_bytes: str | None,
) -> set[str]:
    """Return the names of the entries that fit the limits, in order, and report the others.

    Raises:
        UsageError: No entry fits.
    """
    from zoo.claims.sweep import parse_size

    most_bytes = parse_size(max_bytes) if max_bytes is not None else None
    seconds, size, chosen, left_out = 0.0, 0, set[str](), dict[str, list[LeftOut]]()
    for entry in entries:
        times = [runs.expected_seconds for runs in planned if entry.name in (runs.entry.name, runs.teacher_of)]
        needed = None if None in times else sum(time or 0.0 for time in times)
        download = downloads.get(entry.name)
        if max_hours is not None and (needed is None or seconds + needed > max_hours * 3600):
            left_out.setdefault(f"--max-hours {max_hours:g}", []).append((needed, f"{entry.name} ({duration(needed)})"))
        elif most_bytes is not None and (download is None or size + download > most_bytes):
            left_out.setdefault(f"--max-bytes {max_bytes}", []).append((download, f"{entry.name} ({amount(download)})"))
        else:
            seconds, size = seconds + (needed or 0.0), size + (download or 0)
            chosen.add(entry.name)
    if left_out and not chosen:
        smallest = "; ".join(_smallest(limit, each) for limit, each in left_out.items())
        raise UsageError(f"nothing is left to plan: {smallest}")
    for limit, needs in left_out.items():
        report(f"{limit} leaves out {first_of([name for _, name in needs], LISTED)}")
    return chosen


def _smallest(limit: str, left_out: "Sequence[LeftOut]") -> str:
    """Return how many entries a limit leaves out, and which of them needs the least."""
    known = [each for each in left_out if each[0] is not None]
    least = (
        f"the smallest need is that of {min(known, key=lambda each: each[0] or 0.0)[1]}"
        if known
        else "no need of theirs is known"
    )
    return f"{limit} leaves out {counted(len(left_out), 'entry', 'entries')}; {least}"


def _plan_advice(plan: "Plan") -> str:
    if not plan.units:
        return "nothing to run"
    home = shlex.quote(str(plan.home))
    return render.wrapped(
        f"{counted(len(plan.units), 'unit')} in {plan.file}. `zoo run-unit {home} --all` makes all that are"
        f" missing, and --index 0 only the first, here or on a machine with a copy of this folder; `zoo status {home}`"
        " shows what is done.",
        "",
    )


@command
def status(
    plan: Annotated[
        Path | None,
        argument("[PLAN]", "A plan: its file, or its folder. Default: the plan that was worked on last."),
    ] = None,
    watch: Annotated[
        bool,
        option(
            "--watch",
            "Show it again every 2 seconds until each run is made or has failed; Ctrl-C ends this. Default: once.",
            OUTPUT,
        ),
    ] = False,
    records: Records = None,
    as_json: Json = False,
) -> None:
    """Show which runs of a plan are done, are running or have failed, and how long the rest may take.

    Reads journals and records only, so it works in any terminal that sees the folder of the runs. Exits with 3 while
    runs are missing, and with the code of an error if one has failed.

    Example: zoo status --watch
    """
    from harness.fleet.plan_file import read_plan
    from harness.fleet.plan_here import with_recipes
    from harness.fleet.status import newest_plan, status_of

    if watch and as_json:
        raise UsageError("--watch shows text again and again, and excludes --json; call `zoo status --json` repeatedly")
    chosen = with_recipes(read_plan(plan, records) if plan is not None else newest_plan(paths.runs(records)))
    current = status_of(chosen)
    if watch:
        current = _watched(chosen, current)
    else:
        render.emit(fleet_text.status_data(current), fleet_text.status_text(current), as_json=as_json)
    end(_codes(current))


def _watched(plan: "Plan", current: "PlanStatus") -> "PlanStatus":
    """Show the status of a plan again and again until it is over, and return the last one."""
    from rich.live import Live
    from rich.text import Text

    from harness.fleet.status import status_of

    try:
        with Live(Text(fleet_text.status_text(current)), auto_refresh=False) as live:
            while not current.is_over:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                current = status_of(plan)
                live.update(Text(fleet_text.status_text(current)), refresh=True)
    finally:
        if not sys.stdout.isatty():  # there rich ends the last line
            print()
    return current


def _codes(current: "PlanStatus") -> Iterator[int]:
    for unit in current.units:
        if unit.state == "failed":
            yield unit.code
        elif unit.state != "done":
            yield UNFINISHED
