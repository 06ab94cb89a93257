"""The command that makes runs of a plan: run-unit."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo.api.fleet_runs import unit_maker
from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.exit_codes import end
from zoo.cli.options import HOW, OUTPUT, WHAT, Json, argument, option
from zoo.cli.progress import report, report_error, session_of
from zoo.cli.run_options import TimeLimit
from zoo.errors import UsageError

if TYPE_CHECKING:
    from harness.fleet.plan_file import Plan, Unit
    from harness.fleet.work import MadeUnit
    from harness.fleet.worker import UnitMaker

PlanFile = Annotated[Path, argument("PLAN", "A plan that `zoo plan` wrote: its file, or its folder.")]
FROM_INPUT = "-"


@command
def run_unit(
    plan: PlanFile,
    index: Annotated[
        list[str] | None,
        option(
            "--index",
            "The number of the unit in the plan, from 0. Can be repeated. With '-' the numbers are read from stdin, one"
            " a line, up to the line 'end'. Default: none; pass this or --all.",
            WHAT,
            "I",
        ),
    ] = None,
    everything: Annotated[
        bool,
        option(
            "--all",
            "Make all units whose runs are missing, teachers first. Several processes may do this at once, also on"
            " machines that share the folder: each unit is made by one of them. Default: those of --index.",
            WHAT,
        ),
    ] = False,
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
    """Make runs of a plan, and write their records: one unit, several, or all that are missing.

    If a run exists, it is not made again. Recipe files are read in the directory where the plan was made; on a
    machine without it, in the current directory. Exits with the code of the run's error, if it has one; whether a
    claim is reproduced is judged by `zoo verify`.

    Example: zoo run-unit runs/.fleet/0123456789ab --index 0
    """
    import os

    from harness.fleet.plan_file import plan_file, read_plan
    from harness.fleet.plan_here import check_data, plan_here
    from harness.fleet.work import make_unit
    from harness.fleet.worker import numbers_from, parse_process, private_stdout

    if bool(index) == everything:
        raise UsageError("pass --index I for one unit of the plan, or --all for all that are missing")
    file, chosen = plan_file(plan), read_plan(plan, records)
    check_data(file)
    number, processes = parse_process(process)
    if records is not None:
        chosen.write(file)
    chosen = plan_here(chosen, report)
    os.chdir(chosen.folder)
    session = session_of(chosen.sources)
    chosen = replace(chosen, options=replace(chosen.options, time_limit=time_limit))
    make = unit_maker(session, chosen, number, processes)
    with session.time_limited(chosen.options):
        if index == [FROM_INPUT]:
            with private_stdout() as print_finished:
                for number in numbers_from(sys.stdin, partial(_number, chosen)):
                    make_unit(chosen, number, make, make.messages)
                    print_finished(number)
            return
        codes = []
        try:
            for made in _made_units(chosen, index, make):
                codes.append(made.result.error.exit_code if made.result.error else 0)
                _show(made, as_json=as_json)
        except KeyboardInterrupt as error:
            _show_stopped(make, error, as_json=as_json)
            raise
    if not codes:
        report("no run of the plan is missing")
    end(codes)


def _made_units(plan: "Plan", index: list[str] | None, make: "UnitMaker") -> "Iterator[MadeUnit]":
    """Make units, and yield each: those with these numbers, which are checked first, or all that are missing."""
    from harness.fleet.all_units import make_all_units
    from harness.fleet.work import make_unit

    if index is None:
        yield from make_all_units(plan, make, make.messages, report)
        return
    for number in [_number(plan, text) for text in index]:
        yield make_unit(plan, number, make, make.messages)


def _number(plan: "Plan", text: str) -> int:
    """Return the number of a unit. Raise UsageError for one that the plan does not have."""
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) >= len(plan.units):
        units = f"units 0 to {len(plan.units) - 1}" if plan.units else "no units"
        raise UsageError(f"--index {text}: the plan {plan.file} has {units}")
    return int(text)


def _show(made: "MadeUnit", *, as_json: bool) -> None:
    unit, runs = made.unit, made.result
    if runs.error is not None:
        report_error(str(runs.error))
    records = [str(path) for path, _ in runs.runs]
    reason = runs.not_comparable or runs.skipped
    data = {
        **_names(unit), "records": records, "existed": not made.is_new, "reason": reason or None,
        "error": str(runs.error) if runs.error else None, "stopped": None,
    }  # fmt: skip
    lines = records or [f"{unit.name}: nothing to run: {reason}"] * bool(reason)
    render.emit(data, "\n".join(lines), as_json=as_json)


def _show_stopped(make: "UnitMaker", error: KeyboardInterrupt, *, as_json: bool) -> None:
    """Show by what, and after which step, the unit was stopped that this process was making."""
    from harness.fleet.work import why_stopped

    unit, why, progress = make.making, why_stopped(error), make.progress.text
    if unit is not None:
        by = f"the {why}" if why == "time limit" else why
        report(f"{unit.name}: stopped by {by}{f' after {progress}' if progress else ''}")
    data = {
        **_names(unit), "records": [], "existed": False, "reason": None, "error": None, "stopped": why,
        "progress": progress or None,
    }  # fmt: skip
    render.emit(data, "", as_json=as_json)


def _names(unit: "Unit | None") -> dict[str, Any]:
    if unit is None:  # between two units
        return dict.fromkeys(("unit", "entry", "mode", "seed"))
    return {"unit": unit.index, "entry": unit.entry.name, "mode": unit.mode, "seed": unit.seed}
