"""The commands on runs that exist: runs list, runs show, runs remove, runs size."""

import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo import paths
from zoo.cli import render
from zoo.cli.exit_codes import end
from zoo.cli.options import HOW, OUTPUT, WHAT, Json, Records, Suites, argument, command, option
from zoo.cli.plan import amount
from zoo.cli.progress import report
from zoo.errors import UsageError, ZooError, did_you_mean
from zoo.text_tables import counted, number

if TYPE_CHECKING:
    from harness.runs.stored_runs import StoredRun

DAYS = re.compile(r"(\d{1,6})\s*(d|h|w)?")
HOURS = {"h": 1, "d": 24, "w": 7 * 24, None: 24}
RUN = "The folder of a run, its name in the list, an entry, ENTRY:SEED, ENTRY:weights, or a glob of these."


class Order(StrEnum):
    """The orders of `zoo runs list`."""

    DATE = "date"
    ENTRY = "entry"
    SIZE = "size"
    SCORE = "score"


Selected = Annotated[list[str] | None, argument("RUN", f"{RUN} Default: all runs.")]
RemovedRuns = Annotated[list[str] | None, argument("RUN", f"{RUN} Required unless --stopped or --older-than is used.")]
OlderThan = Annotated[
    str | None,
    option("--older-than", "Only what is older than this, such as 30d, 12h or 2w. Default: any age.", WHAT, "AGE"),
]
Yes = Annotated[bool, option("--yes", "Do not ask. Default: ask before anything is removed.", HOW)]
RemovalDryRun = Annotated[
    bool, option("--dry-run", "Print what would be removed, and remove nothing. Default: remove it.", OUTPUT)
]


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

    A run in progress is never removed, and neither are committed records. Files that the run did not write stay.

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
                    report(f"{other}: stays, because the run did not write it")
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


def selected_runs(found: Sequence["StoredRun"], patterns: Sequence[str], suites: Sequence[str]) -> list["StoredRun"]:
    """Return the runs that patterns and suites select, in order. Raise UsageError if a pattern selects none."""
    of_suites = [run for run in found if not suites or run.suite in suites]
    for pattern in patterns:
        if not any(_matches(run, pattern) for run in of_suites):
            names = sorted({run.entry for run in found})
            raise UsageError(f"no run matches {pattern!r}{did_you_mean(pattern, names)}; `zoo runs` lists the runs")
    return [run for run in of_suites if not patterns or any(_matches(run, pattern) for pattern in patterns)]


def seconds_of(text: str, name: str) -> float:
    """Return the seconds of an age such as `30d`. Raise UsageError, with the name of the option, for another text."""
    found = DAYS.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{name} {text}: write a number of days, hours or weeks, such as 30d, 12h or 2w")
    return int(found[1]) * HOURS[found[2]] * 3600.0


def confirmed(question: str, *, yes: bool, as_json: bool = False) -> bool:
    """Ask on the terminal and return the answer. Raise UsageError if nobody can answer and --yes is not passed."""
    if yes:
        return True
    if as_json or not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody can answer here; pass --yes, or --dry-run to see what would be removed")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def run_name(run: "StoredRun") -> str:
    """Return the name of a run as a user types it: ENTRY:SEED or ENTRY:weights, else its folder."""
    if run.record is None or run.state == "damaged":
        return f"{run.entry}/{run.folder.name}" if run.state == "damaged" else run.folder.name
    return f"{run.entry}:{'weights' if run.seed is None else run.seed}"


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


def _matches(run: "StoredRun", pattern: str) -> bool:
    names = (run.entry, run_name(run), run.folder.name, f"{run.entry}/{run.folder.name}")
    if any(fnmatchcase(name, pattern) for name in names):
        return True
    with suppress(OSError, ValueError, RuntimeError):  # no path of this machine: too long, or with a strange "~"
        if "/" in pattern or Path(pattern).exists():
            folder = run.folder.resolve()
            return Path(pattern).expanduser().resolve() in (folder, folder / "record.json")
    return False


def _first_score(run: "StoredRun") -> tuple[str, str, float] | None:
    """Return split, metric and value of the first score of a run."""
    for result in run.record.results if run.record else ():
        for metric, score in result.metrics.items():
            if (value := score["value"]) is not None:
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
