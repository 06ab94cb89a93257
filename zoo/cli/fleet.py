"""Commands for many machines: plan, run-unit, status."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo import paths
from zoo.cli import fleet_text, render
from zoo.cli.exit_codes import end
from zoo.cli.options import (
    HOW,
    OUTPUT,
    WHAT,
    All,
    Json,
    Patterns,
    Records,
    Suites,
    TimeLimit,
    Where,
    Without,
    argument,
    command,
    option,
)
from zoo.cli.plan import Downloads, amount, duration, plan_data, plan_table
from zoo.cli.progress import report, session_of
from zoo.errors import UsageError
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import RunOptions, SourceOptions
from zoo.text_tables import counted

if TYPE_CHECKING:
    from harness.fleet.plan_file import Plan
    from harness.fleet.status import PlanStatus
    from harness.fleet.work import MadeUnit
    from harness.runs.plan import PlannedRuns

PlanFile = Annotated[Path, argument("PLAN", "A plan that `zoo plan` wrote: its file, or its folder.")]
PlanOptions = Annotated[RunOptions, Without(("jobs", "on", "ray_address", "slurm_config", "time_limit"))]
"""The options of a plan, which does not say where and for how long its runs are made."""
FROM_INPUT = "-"
SECONDS_BETWEEN_LOOKS = 2.0
LISTED = 5
"""The most entries that a message names."""
LeftOut = tuple[float | None, str]
"""What an entry that limits leave out needs, in seconds or bytes, and its name with that need as text."""
UNFINISHED = 3
"""The exit code of a plan whose runs are not all made, as that of claims that are not compared."""


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
    planned, downloads = session.plan(entries, options), session.download_sizes(entries, train=options.train)
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
        names = [name for _, name in needs]
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        report(f"{limit} leaves out {', '.join(names[:LISTED])}{more}")
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
    return render.wrapped(
        f"{counted(len(plan.units), 'unit')} in {plan.file}. `zoo run-unit {plan.home} --index 0` makes the first, here"
        f" or on a machine with a copy of this folder; `zoo status {plan.home}` shows what is done.",
        "",
    )


@command
def run_unit(
    plan: PlanFile,
    index: Annotated[
        list[str],
        option(
            "--index",
            "The number of the unit in the plan, from 0. Can be repeated; with '-' the numbers are read from stdin, one"
            " a line.",
            WHAT,
            "I",
        ),
    ],
    process: Annotated[
        str,
        option(
            "--process",
            "This is process N of M on this machine: it takes its share of the CPU threads, and the devices in turn."
            " Default: 0/1.",
            HOW,
            "N/M",
        ),
    ] = "0/1",
    time_limit: TimeLimit = None,
    records: Annotated[
        Path | None,
        option(
            "--records",
            "Write the record, and a copy of the plan with its journals, into this folder of runs. Default: the folder"
            " of runs in which the plan lies, else the one that the plan names.",
            OUTPUT,
            "DIR",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make one run of a plan, and write its record.

    If the run exists, it is not made again. Recipe files are read in the directory where the plan was made; on a
    machine without it, in the current directory. Exits with the code of the run's error, if it has one; whether a
    claim is reproduced is judged by `zoo verify`.

    Example: zoo run-unit runs/.fleet/0123456789ab --index 0
    """
    import os

    from harness.fleet.plan_file import read_plan
    from harness.fleet.plan_here import plan_here
    from harness.fleet.work import make_unit
    from harness.fleet.worker import parse_process, private_stdout

    chosen = read_plan(plan, records)
    number, processes = parse_process(process)
    if records is not None:
        chosen.write()
    chosen = plan_here(chosen, report)
    os.chdir(chosen.folder)
    session = session_of(chosen.sources)
    chosen = replace(chosen, options=replace(chosen.options, time_limit=time_limit))
    make = session.unit_maker(chosen, number, processes)
    with session.time_limited(chosen.options):
        if index == [FROM_INPUT]:
            with private_stdout() as print_finished:
                for unit in _numbers(index, chosen):
                    make_unit(chosen, unit, make, make.messages)
                    print_finished(unit)
            return
        codes = []
        for unit in [*_numbers(index, chosen)]:  # all are checked before the first is made
            made = make_unit(chosen, unit, make, make.messages)
            codes.append(made.result.error.exit_code if made.result.error else 0)
            _show(made, as_json=as_json)
    end(codes)


def _numbers(index: list[str], plan: "Plan") -> Iterator[int]:
    """Yield the numbers of units. Raise UsageError for one that the plan does not have."""
    from harness.fleet.worker import numbers_from

    chosen: Iterable[Any] = numbers_from(sys.stdin) if index == [FROM_INPUT] else index
    for number in chosen:
        if not str(number).isdigit() or int(number) >= len(plan.units):
            units = f"units 0 to {len(plan.units) - 1}" if plan.units else "no units"
            raise UsageError(f"--index {number}: the plan {plan.file} has {units}")
        yield int(number)


def _show(made: "MadeUnit", *, as_json: bool) -> None:
    unit, runs = made.unit, made.result
    if runs.error is not None:
        report(str(runs.error))
    records = [str(path) for path, _ in runs.runs]
    reason = runs.not_comparable or runs.skipped
    data = {
        "unit": unit.index, "entry": unit.entry.name, "mode": unit.mode, "seed": unit.seed, "records": records,
        "existed": not made.is_new, "reason": reason or None, "error": str(runs.error) if runs.error else None,
    }  # fmt: skip
    lines = records or [f"{unit.name}: nothing to run: {reason}"] * bool(reason)
    render.emit(data, "\n".join(lines), as_json=as_json)


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
    from harness.fleet.status import newest_plan, status_of

    if watch and as_json:
        raise UsageError("--watch shows text again and again, and excludes --json; call `zoo status --json` repeatedly")
    chosen = read_plan(plan, records) if plan is not None else newest_plan(paths.runs(records))
    current = status_of(chosen)
    if watch:
        from rich.live import Live
        from rich.text import Text

        with Live(Text(fleet_text.status_text(current)), auto_refresh=False) as live:
            while not current.is_over:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                current = status_of(chosen)
                live.update(Text(fleet_text.status_text(current)), refresh=True)
    else:
        render.emit(fleet_text.status_data(current), fleet_text.status_text(current), as_json=as_json)
    end(_codes(current))


def _codes(current: "PlanStatus") -> Iterator[int]:
    for unit in current.units:
        if unit.state == "failed":
            yield unit.code
        elif unit.state != "done":
            yield UNFINISHED
