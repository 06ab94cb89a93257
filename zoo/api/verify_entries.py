"""Judge the claims of entries. Return before that which runs are missing, and the bytes to download."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from zoo import paths
from zoo.api.existing_runs import records_of, report_without_effect
from zoo.api.fleet_runs import make_elsewhere
from zoo.api.session import Session
from zoo.errors import UsageError, ZooError
from zoo.files import is_read_only
from zoo.recipes.catalogue import Entry
from zoo.recipes.devices import parse_devices
from zoo.recipes.options import RunOptions

if TYPE_CHECKING:
    from harness.judging.judge_runs import EntryRuns, Outcome
    from harness.runs.plan import PlannedRuns
    from harness.runs.verify import WantedRuns


def verify_entries(session: Session, entries: Sequence[Entry], options: RunOptions) -> "list[Outcome]":
    """Return the verdict on each entry; runs that are missing are made.

    Raises:
        TimeLimitError: `options.time_limit` is nearly over. The runs that are finished are stored.
    """
    from harness.runs.verify import verify

    earlier, make = records_of(entries, options), partial(_make, session, entries, options)
    with session.time_limited(options):
        outcomes = verify(entries, options, session.sources, make, report=session.report_error)
    records = [path for outcome in outcomes for path in outcome.records]
    report_without_effect(options, records, earlier, session.report)
    return outcomes


def planned_runs(session: Session, entries: Sequence[Entry], options: RunOptions) -> "list[PlannedRuns]":
    """Return the runs that `verify` would use or make."""
    from harness.runs.plan import plan

    return plan(entries, options, session.sources)


def download_sizes(session: Session, entries: Sequence[Entry], *, train: bool) -> dict[str, int | None]:
    """Return for each readable entry the bytes to download before it can be run; None if that cannot be known.

    Args:
        entries: The entries.
        train: Whether they are to be trained.
    """
    from zoo.recipes.needs import needs_or_error

    builder, sizes = session.builder(entries, report_new_lock=False), dict[str, int | None]()
    for entry in entries:
        if entry.is_readable:
            needs, error = needs_or_error(entry, builder, train=train)
            try:
                size = sum(need.download_size(builder.sources) for need in dict.fromkeys(needs))
                sizes[entry.name] = None if error else size
            except ZooError:
                sizes[entry.name] = None
    return sizes


def _make(
    session: Session, entries: Sequence[Entry], options: RunOptions, wanted: "WantedRuns"
) -> "Iterator[EntryRuns]":
    """Yield the missing runs of entries: made here, or by other processes."""
    from harness.runs.verify import mode_of

    device = options.device
    if options.uses_fleet and is_read_only(paths.runs(options.records)):
        device = parse_devices(device)[0]  # no run can be made, so this process finds those that exist
    elif options.uses_fleet:
        from harness.fleet.dispatch import make_with_fleet

        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UsageError("--jobs and --on exclude torchrun: its processes work on every run together")
        make = partial(make_elsewhere, session, options)
        return make_with_fleet(entries, wanted, options, session.sources, make, report=session.report)
    from harness.runs.reproduce import make_runs

    return make_runs(wanted, mode_of(options), session.context(entries, options, device))
