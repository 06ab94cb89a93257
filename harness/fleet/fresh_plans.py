"""Plans of `--fresh`: each makes all its runs again, once. The same command goes on with one that was interrupted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from harness.fleet.existing_units import missing_units
from harness.fleet.plan_file import FILE, FOLDER, Plan, read_plan
from harness.fleet.units import plan_units
from zoo.error_translation import translate_errors
from zoo.errors import ZooError
from zoo.progress import Report, ignore_message
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import RunOptions, SourceOptions

BEGUN = "begun"
"""An empty file in the folder of a plan that a command works on to its end, and then judges its runs."""
COMPLETE = "complete"
"""An empty file in the folder of a plan that a command has worked on to its end."""


def current_plan(
    entries: Sequence[Entry], options: RunOptions, sources: SourceOptions, *, report: Report = ignore_message
) -> Plan:
    """Return the plan of a command. With `--fresh` it is that of the same command if that was interrupted.

    Args:
        entries: The entries.
        options: Which runs to judge, and how to make them.
        sources: Where the entries' files come from.
        report: Called with a message if an earlier plan of `--fresh` goes on.
    """
    plan = plan_units(entries, options, sources)
    unfinished = max(_unfinished(plan), key=lambda other: other.made, default=None) if options.fresh else None
    if unfinished is None:
        return plan
    made = datetime.fromtimestamp(unfinished.made, UTC).strftime("%Y-%m-%d %H:%M UTC")
    report(f"going on with the interrupted --fresh of {made}; delete {unfinished.home} to make all of its runs again")
    return replace(plan, made=unfinished.made)


def begin(plan: Plan) -> None:
    """Note that a command works on a plan of `--fresh`, so that the same command goes on with it.

    Raises:
        SourceError: The folder of the plan cannot be written.
    """
    _mark(plan, BEGUN)


def complete(plan: Plan) -> None:
    """Note that a command has worked on a plan to its end, so that the next `--fresh` makes all runs again.

    Raises:
        SourceError: The folder of the plan cannot be written.
    """
    _mark(plan, COMPLETE)


def _mark(plan: Plan, name: str) -> None:
    if plan.options.fresh:
        with translate_errors(str(plan.home)):
            (plan.home / name).touch()


def _unfinished(plan: Plan) -> Iterator[Plan]:
    """Yield the plans that differ only in their time, and that no command has worked on to its end.

    A plan of `zoo plan`, which no command works on as a whole, ends when all its runs are made.
    """
    for file in (plan.records / FOLDER).glob(f"*/{FILE}"):
        if (file.parent / COMPLETE).exists():
            continue
        try:
            other = read_plan(file)
        except ZooError:  # damaged
            continue
        is_begun = (file.parent / BEGUN).exists()
        if replace(plan, made=other.made).id == other.id and (is_begun or missing_units(other)):
            yield other
