"""The command that shows one run: runs show."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo import paths
from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.options import Json, Records, argument
from zoo.cli.plan import amount
from zoo.cli.selected_runs import RUN, run_name, selected_runs
from zoo.cli.stored_runs import date_of
from zoo.errors import SourceError, UsageError, ZooError
from zoo.text_tables import first_of, number

if TYPE_CHECKING:
    from harness.runs.stored_runs import StoredRun

LINES = 5
"""The lines of the log that are shown."""
LISTED = 8


@command
def show_run(run: Annotated[str, argument("RUN", RUN)], records: Records = None, as_json: Json = False) -> None:
    """Show what a run measured, its settings, files and log, and how to go on.

    Example: zoo runs show digits-resnet8:weights
    """
    from harness.records.check import verify_record
    from harness.records.training_log import LOG
    from harness.runs.stored_runs import stored_runs

    folder = paths.runs(records)
    found = selected_runs(stored_runs(folder), [run], [])
    if len(found) > 1:
        names = [str(each.folder) for each in found]
        raise UsageError(f"{run!r} matches {len(found)} runs; name the folder of one: {first_of(names, LISTED)}")
    chosen = found[0]
    problem = chosen.problem
    if not problem and chosen.record is not None:
        try:
            verify_record(chosen.folder / "record.json", chosen.record)
        except (ZooError, OSError) as error:
            problem = str(error)
    steps = list(_next(chosen, problem, records))
    log = _last_lines(chosen.folder / LOG)
    lines = [*_summary(chosen, problem), *_measured(chosen), *_settings(chosen), *_log(log), *steps]
    data = {
        "run": run_name(chosen), "entry": chosen.entry, "state": "damaged" if problem else chosen.state,
        "problem": problem or None, "folder": str(chosen.folder), "bytes": chosen.size, "date": date_of(chosen),
        "record": json.loads(chosen.record.to_json()) if chosen.record else None, "log": log,
        "next_step": steps,
    }  # fmt: skip
    render.emit(data, "\n".join(lines), as_json=as_json)
    if problem:
        raise SourceError(f"{chosen.folder}: the run is damaged: {problem}")


def _summary(run: "StoredRun", problem: str) -> Iterator[str]:
    yield f"{run_name(run)}: {'damaged' if problem else run.state}, {run.kind}"
    yield f"  folder: {run.folder} ({amount(run.size)})"
    yield f"  {'recorded' if run.record else 'last written'}: {date_of(run) or 'unknown'} UTC"
    if run.work is not None and run.work.is_dir() and run.work != run.folder:
        yield f"  checkpoints: {run.work}"


def _measured(run: "StoredRun") -> Iterator[str]:
    for result in run.record.results if run.record else ():
        for metric, score in result.metrics.items():
            yield f"  {metric} on {result.split}: {number(score['value'])} ({result.n:,} examples, {result.selection})"
    if run.record and run.record.failure:
        yield f"  failed: {run.record.failure}"
    for finding in run.record.findings if run.record else ():
        yield f"  note: {finding}"


def _settings(run: "StoredRun") -> Iterator[str]:
    if run.record is None:
        return
    environment, numerics = run.record.environment, run.record.identity.numerics
    yield f"  settings: {_pairs({'seed': run.seed, **numerics})}"
    shown = {
        name: environment[name] for name in ("device", "cpu", "threads", "platform", "python") if name in environment
    }
    packages = environment.get("packages", {})
    yield f"  environment: {_pairs({**shown, 'torch': packages.get('torch'), 'zoo': packages.get('zoo-reproduce')})}"
    yield f"  took: {run.record.cost['seconds']:.0f} s"
    yield f"  files: {first_of(['record.json', *sorted(run.record.files)], LISTED)}"


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _log(lines: list[str]) -> Iterator[str]:
    if lines:
        yield "  last lines of the log:"
        yield from (f"    {line[:200]}" for line in lines)


def _last_lines(path: Path) -> list[str]:
    """Return the last lines of a log; none if there is no log or it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096 * LINES))
            return file.read().decode("utf-8", "replace").splitlines()[-LINES:]
    except OSError:
        return []


def _next(run: "StoredRun", problem: str, records: Path | None) -> Iterator[str]:
    """Yield what the user can do now."""
    from harness.runs.remove_run import reason_to_keep

    if problem:
        reason = reason_to_keep(run, paths.runs(records), paths.evidence())
        option = f" --records {shlex.quote(str(records))}" if records else ""
        removal = f"`zoo runs remove {shlex.quote(str(run.folder))}{option}` removes it"
        made_again = "; the command that made it then makes it again"
        yield f"  it cannot be removed with zoo: {reason}" if reason else f"  {removal}{made_again}"
    elif run.state == "running":
        yield "  a command makes this run now; its lock names the process"
    elif run.state == "stopped":
        yield f"  to resume, repeat the command that made it{_training(run)}; its seed is unknown"


def _training(run: "StoredRun") -> str:
    """Return the beginning of the command that trains the entry, if a recipe of this name is known."""
    from zoo.recipes.catalogue import entries

    is_known = run.entry in (entry.name for entry in entries())
    return f", such as `zoo train {shlex.quote(run.entry)} --seed N`" if is_known else ", with the same recipe"
