"""The commands on runs that exist: runs list, runs remove, runs size."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo import paths
from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.exit_codes import end
from zoo.cli.options import OUTPUT, WHAT, Json, Records, Suites, argument, option
from zoo.cli.plan import amount
from zoo.cli.progress import report
from zoo.cli.removal import OlderThan, RemovalDryRun, Yes, confirmed, seconds_of
from zoo.cli.selected_runs import RUN, Selected, run_name, selected_runs
from zoo.errors import UsageError, ZooError
from zoo.text_tables import counted, number

if TYPE_CHECKING:
    from harness.runs.stored_runs import StoredRun


class Order(StrEnum):
    """The orders of `zoo runs list`."""

    DATE = "date"
    ENTRY = "entry"
    SIZE = "size"
    SCORE = "score"


RemovedRuns = Annotated[list[str] | None, argument("RUN", f"{RUN} Required unless --stopped or --older-than is used.")]


@command
def list_runs(
    run: Selected = None,
    suite: Suites = None,
    sort: Annotated[
        Order, option("--sort", "Sort by date, entry, size or score. Default: date, the newest first.", OUTPUT, "ORDER")
    ] = Order.DATE,
    limit: Annotated[int, option("--limit", "List at most N runs. Default: 30.", OUTPUT, "N", min=1)] = 30,
    records: Records = None,
    as_json: Json = False,
) -> None:
    """List your runs with their scores, verdicts and sizes.

    A run is finished, running (a command holds its lock), stopped (it has checkpoints to resume from) or damaged.

    Example: zoo runs list --sort size
    """
    folder = paths.runs(records)
    stored = _runs(folder)
    found = selected_runs(stored, run or [], suite or [])
    shown = sorted(found, key=ORDERS[sort])[:limit]
    verdicts = _verdicts(shown, stored, folder)
    data = [_data(each, verdicts.get(each.folder)) for each in shown]
    headers = ["run", "score", "verdict", "device", "date", "size", "state"]
    rows = [
        [
            row["run"], _score_text(each), row["verdict"] or "-", row["device"] or "-", row["date"] or "-",
            amount(each.size), each.state,
        ]
        for row, each in zip(data, shown, strict=True)
    ]  # fmt: skip
    more = [f"{counted(len(found) - limit, 'more run')}; --limit N lists more"] if len(found) > limit else []
    text = "\n".join([render.table(headers, rows, flexible=(0, 1, 4)), *more]) if rows else f"{folder}: no runs"
    render.emit({"folder": str(folder), "total": len(found), "runs": data}, text, as_json=as_json)


@command
def remove_runs(
    run: RemovedRuns = None,
    suite: Suites = None,
    stopped: Annotated[
        bool, option("--stopped", "Only runs that were stopped, with their checkpoints. Default: any state.", WHAT)
    ] = False,
    older_than: OlderThan = None,
    yes: Yes = False,
    dry_run: RemovalDryRun = False,
    records: Records = None,
    as_json: Json = False,
) -> None:
    """Remove runs from the disk, after a question.

    A run in progress is never removed, and neither are committed records. Files that the run did not write are kept, in
    a folder NAME.kept beside it.

    Example: zoo runs remove --stopped --older-than 30d
    """
    from harness.runs.remove_run import reason_to_keep, remove_run

    if not (run or suite or stopped or older_than):
        raise UsageError("name the runs to remove, or pass --suite NAME, --stopped or --older-than AGE")
    folder, evidence = paths.runs(records), paths.evidence()
    found = selected_runs(_runs(folder), run or [], suite or [])
    before = time.time() - seconds_of(older_than, "--older-than") if older_than else float("inf")
    chosen = [each for each in found if each.modified <= before]
    chosen = _stopped(chosen) if stopped else chosen
    kept = {each.folder: reason for each in chosen if (reason := reason_to_keep(each, folder, evidence))}
    removable = [each for each in chosen if each.folder not in kept]
    for path, reason in kept.items():
        report(f"{path}: not removed: {reason}")
    size = sum(each.size for each in removable)
    if not as_json:
        print("\n".join(f"{each.folder}  {amount(each.size)}" for each in removable) or "nothing to remove")
    question = f"Remove {counted(len(removable), 'run')}, {amount(size)}?"
    errors: list[ZooError] = []
    removed: list[str] = []
    if removable and not dry_run and confirmed(question, yes=yes, as_json=as_json):
        for each in removable:
            try:
                for other in remove_run(each, folder, evidence):
                    report(f"kept: {other}, which the run did not write")
                removed.append(str(each.folder))
            except ZooError as error:
                errors.append(error)
                report(str(error))
    data = {"dry_run": dry_run, "removed": removed, "kept": {str(path): reason for path, reason in kept.items()}}
    done = f"removed {counted(len(removed), 'run')}" if removed else ""
    data |= {"selected": [str(each.folder) for each in removable], "bytes": size}
    render.emit(data, done, as_json=as_json)
    end([*(error.exit_code for error in errors), *([UsageError.exit_code] if kept else [])])


@command
def size_of_runs(run: Selected = None, suite: Suites = None, records: Records = None, as_json: Json = False) -> None:
    """Show how much disk the runs of each entry use, the largest first.

    Example: zoo runs size
    """
    folder = paths.runs(records)
    groups: dict[str, list[StoredRun]] = defaultdict(list)
    for each in selected_runs(_runs(folder), run or [], suite or []):
        groups[each.entry].append(each)
    sizes = {entry: sum(each.size for each in runs) for entry, runs in groups.items()}
    order = sorted(groups, key=lambda entry: -sizes[entry])
    data = [{"entry": entry, "runs": len(groups[entry]), "bytes": sizes[entry]} for entry in order]
    total, count = sum(sizes.values()), sum(map(len, groups.values()))
    table = render.table(["entry", "runs", "size"], [[e, len(groups[e]), amount(sizes[e])] for e in order], (0,))
    text = f"{table}\n\n{folder}: {counted(count, 'run')}, {amount(total)}" if data else f"{folder}: no runs"
    render.emit({"folder": str(folder), "runs": count, "bytes": total, "entries": data}, text, as_json=as_json)


def date_of(run: "StoredRun") -> str:
    """Return when a run was recorded or last written, in UTC; empty if nobody knows."""
    return datetime.fromtimestamp(run.modified, UTC).strftime("%Y-%m-%d %H:%M") if run.modified else ""


def _stopped(runs: Sequence["StoredRun"]) -> list["StoredRun"]:
    """Return the runs that were stopped, and note those that are being made."""
    for run in runs:
        if run.state == "running":
            report(f"{run.folder}: skipped, because a command makes this run now")
    return [run for run in runs if run.state == "stopped"]


def _runs(folder: Path) -> list["StoredRun"]:
    from harness.runs.stored_runs import stored_runs

    return stored_runs(folder)


def _first_score(run: "StoredRun") -> tuple[str, str, float] | None:
    """Return split, metric and value of the first score of a run, of the weights that it kept."""
    record = run.record
    for result in record.results if record else ():
        for metric, score in result.metrics.items():
            if (value := score["value"]) is not None and record and result.selection == record.kept_epoch:
                return result.split, metric, value
    return None


def _score_text(run: "StoredRun") -> str:
    score = _first_score(run)
    return f"{score[1]} {number(score[2])}" if score else "-"


ORDERS: dict[Order, Callable[["StoredRun"], Any]] = {
    Order.DATE: lambda run: -run.modified,
    Order.ENTRY: lambda run: (run.entry, run.kind, run.seed or 0),
    Order.SIZE: lambda run: -run.size,
    Order.SCORE: lambda run: -(score[2] if (score := _first_score(run)) else float("-inf")),
}
"""The key of each order."""


def _verdicts(shown: Sequence["StoredRun"], stored: Sequence["StoredRun"], folder: Path) -> dict[Path, str]:
    """Return the verdicts of the shown runs that have claims: of published weights alone, of trainings together.

    Trainings are judged with all stored ones of the same recipe, also with those that are not shown.
    """
    from harness.runs.judged_runs import judged_runs

    groups: dict[Any, list[StoredRun]] = defaultdict(list)
    for run in stored:
        if run.state == "finished":
            groups[_group(run)].append(run)
    groups = {group: groups[group] for group in map(_group, shown) if group in groups}
    verdicts: dict[Path, str] = {}
    for of_group in groups.values():
        files = [run.folder / "record.json" for run in of_group]
        try:
            verdict = judged_runs(files, None, folder=folder, evidence=paths.evidence()).verdict
        except ZooError as error:
            verdict = f"error: {type(error).__name__}"  # type: ignore[assignment]
        if verdict:
            verdicts |= {run.folder: verdict for run in of_group}
    return verdicts


def _group(run: "StoredRun") -> Any:
    """Return what runs that are judged together have in common; None if the record is damaged."""
    if run.record is None:
        return None
    identity = run.record.identity
    is_single = identity.mode == "weights" or identity.is_reference
    return run.entry, identity.digest, identity.mode, run.folder if is_single else None


def _data(run: "StoredRun", verdict: str | None) -> dict[str, Any]:
    score = _first_score(run)
    environment = run.record.environment if run.record else {}
    return {
        "run": run_name(run), "entry": run.entry, "suite": run.suite, "kind": run.kind, "seed": run.seed,
        "state": run.state, "split": score[0] if score else None, "metric": score[1] if score else None,
        "value": score[2] if score else None, "verdict": verdict, "device": environment.get("device"),
        "date": date_of(run), "bytes": run.size, "folder": str(run.folder), "problem": run.problem or None,
    }  # fmt: skip
