"""The result of a unit as an event of its journal, and back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.fleet.journal import Journal
from harness.fleet.plan_file import Plan, Unit
from harness.judging.judge_runs import EntryRuns
from harness.records.record import FILE, read_record
from zoo import errors
from zoo.errors import SourceError, UsageError, ZooError

NOT_NEEDED = "no run that learns from it is missing"
"""Why a teacher is not trained."""


def write_result(journal: Journal, plan: Plan, result: EntryRuns, seconds: float, messages: Sequence[str]) -> None:
    """Append the result of a unit to its journal.

    Args:
        journal: The unit's journal.
        plan: The plan.
        result: The runs of the unit, or the reason why there are none.
        seconds: The time that this process spent on the unit.
        messages: What was reported meanwhile.
    """
    common = {"seconds": round(seconds, 3), **({"messages": list(messages)} if messages else {})}
    if result.error is not None:
        journal.fail(result.error, **common)
        return
    facts = {
        "records": record_names(result, plan), "published": result.published,
        "skipped": result.skipped, "not_comparable": result.not_comparable,
    }  # fmt: skip
    journal.append("done", **common, **{key: value for key, value in facts.items() if value})


def error_of(event: Mapping[str, Any]) -> ZooError:
    """Return the error that an event describes, with its exit code."""
    kind, text = getattr(errors, str(event.get("kind")), None), str(event.get("error", "unknown error"))
    if not (isinstance(kind, type) and issubclass(kind, ZooError)):
        kind = ZooError
    error = Exception.__new__(UsageError if issubclass(kind, errors.RecipeError) else kind, text)
    error.args = (text,)
    return error


def result_of(unit: Unit, plan: Plan, event: Mapping[str, Any] | None) -> EntryRuns:
    """Return the runs of a unit as the last event of its journal names them; an error if it has not been made.

    Raises:
        ZooError: A record cannot be read.
    """
    empty = EntryRuns(entry=unit.entry, mode=unit.mode)
    if event is None:
        return replace(empty, error=SourceError(f"{unit.name}: not run"))
    match event["event"]:
        case "failed":
            return replace(empty, error=error_of(event))
        case "done":
            files = [plan.records / name / FILE for name in event.get("records", ())]
            return replace(
                empty, runs=tuple((file, read_record(file)) for file in files), published=event.get("published", {}),
                skipped=event.get("skipped", ""), not_comparable=event.get("not_comparable", ""),
            )  # fmt: skip
        case "stopped":
            return replace(empty, error=SourceError(f"{unit.name}: stopped by {event.get('why')} before it was done"))
        case _:
            where = f"process {event.get('pid')} on {event.get('host')}"
            text = (
                f"{unit.name}: not run: {where} was killed while it made this run. If memory ran out, try fewer --jobs."
            )
            return replace(empty, error=SourceError(text))


def joined(parts: Iterable[EntryRuns]) -> EntryRuns:
    """Return the runs of all parts of one entry, or the first part that has an error or cannot be compared."""
    listed = list(parts)
    failed = next((part for part in listed if part.error or part.not_comparable or part.skipped), None)
    return failed or replace(listed[0], runs=tuple(run for part in listed for run in part.runs))


def is_made(plan: Plan, event: Mapping[str, Any] | None) -> bool:
    """Return whether the last event of a unit says that it is done and its records are there."""
    if event is None or event["event"] != "done":
        return False
    return all((plan.records / name / FILE).is_file() for name in event.get("records", ()))


def record_names(result: EntryRuns, plan: Plan) -> list[str]:
    """Return the folders of the runs of a unit below that of all runs, or their full paths if they lie elsewhere."""
    return [_relative(path, plan.records) for path, _ in result.runs]


def _relative(record: Path, records: Path) -> str:
    """Return the folder of a run below that of all runs, else its full path."""
    folder = record.parent.absolute()
    return folder.relative_to(records).as_posix() if folder.is_relative_to(records) else str(folder)
