"""The command that merges the runs of several machines: collect."""

from pathlib import Path
from typing import Annotated

from zoo import paths
from zoo.cli import render
from zoo.cli.collection_text import collection_data, collection_text
from zoo.cli.command_function import command
from zoo.cli.exit_codes import UNFINISHED, end
from zoo.cli.options import OUTPUT, WHAT, Json, argument, option
from zoo.cli.progress import report_error
from zoo.errors import IntegrityError, SourceError


@command
def collect(
    folders: Annotated[list[Path], argument("DIR", "Folders of runs, such as those of --records on several machines.")],
    to: Annotated[
        Path | None,
        option(
            "--to", "Copy the runs that this folder lacks into it. Default: the folder of your runs.", OUTPUT, "DIR"
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        option("--plan", "List the runs of this plan that are in no folder. Default: none are listed.", WHAT, "PLAN"),
    ] = None,
    prefer: Annotated[
        Path | None,
        option(
            "--prefer",
            "Where folders have the same run with different scores, take the run of this folder. It replaces the one in"
            " the folder of --to. Default: copy nothing.",
            WHAT,
            "DIR",
        ),
    ] = None,
    skip_damaged: Annotated[
        bool,
        option("--skip-damaged", "Leave damaged runs out, and copy the others. Default: copy nothing.", WHAT),
    ] = False,
    check: Annotated[bool, option("--check", "Only check and list; copy nothing. Default: copy.", OUTPUT)] = False,
    as_json: Json = False,
) -> None:
    """Merge the runs of several machines into one folder.

    Each record is checked against its files first. Nothing is copied if a run is damaged, or if two folders have the
    same run with different scores; all such runs are listed, with what differs.

    Example: zoo collect gpu1/runs gpu2/runs --check
    """
    from harness.fleet.collect import read_collection
    from harness.fleet.merge import damaged_targets, folders_to_copy, merge, reason_not_to_merge
    from harness.fleet.plan_file import read_plan
    from harness.fleet.plan_here import with_recipes
    from harness.fleet.run_folders import check_has_runs

    target, chosen = paths.runs(to), with_recipes(read_plan(plan)) if plan is not None else None
    found = read_collection(folders, chosen, target=target, prefer=prefer)
    for folder in folders:
        check_has_runs(folder)
    reason = reason_not_to_merge(found, skip_damaged=skip_damaged)
    merged = None if check or reason else merge(found, target, skip_damaged=skip_damaged)
    problems = damaged_targets(found, target) if merged is None else merged.problems
    copied = None if merged is None else merged.copied
    to_copy = folders_to_copy(found, target) if check and not reason else None
    data = {
        **collection_data(found, copied or (), target),
        "to_copy": [*map(str, to_copy or ())],
        "problems": [*problems],
    }
    text = collection_text(found, target, has_plan=chosen is not None, copied=copied, to_copy=to_copy)
    render.emit(data, text, as_json=as_json)
    for problem in [*problems, *([reason] if reason else [])]:
        report_error(problem)
    codes = [IntegrityError.exit_code] * bool(reason) + [SourceError.exit_code] * bool(problems)
    end([*codes, *[UNFINISHED] * bool(found.missing)])
