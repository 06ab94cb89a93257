"""Find the runs that claims need, make the missing ones, and judge the claims.

Nothing here imports torch: the caller makes the missing runs, with `harness.runs.reproduce` or `harness.fleet`.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from harness.judging.judge_runs import EntryRuns, Outcome, default_seeds_of, judge_entries
from harness.judging.types import Judgement
from harness.records.record import Mode
from harness.runs.cache import RunConditions, find_cached_runs
from harness.runs.looks import look_numbers, record_look
from harness.runs.pixel_groups import group_by_pixels
from zoo import paths
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.errors import GatedError, MissingError, NotComparableError, UsageError, first_line
from zoo.progress import Report
from zoo.recipes.catalogue import Entry
from zoo.recipes.devices import kind_here
from zoo.recipes.options import RunOptions, SourceOptions, TrainingOptions

LOGGER = logging.getLogger(__name__)
WantedRuns = Sequence[tuple[Entry, list[int]]]
"""Entries, each with the seeds to train it with."""


def verify(
    entries: Sequence[Entry],
    options: RunOptions,
    sources: SourceOptions,
    make: Callable[[WantedRuns], Iterator[EntryRuns]],
    *,
    report: Report,
) -> list[Outcome]:
    """Return the verdict on each entry, in the order of the entries. Runs in the cache are not repeated.

    Args:
        entries: The entries.
        options: Which runs to judge, and how to make missing ones.
        sources: Where the entries' files come from. With trusted packages the cache is not used.
        make: Yields the missing runs of each of these entries, in order. Called only if a run is missing.
        report: Called with each entry's error.
    """
    runs = [_cached(entry, options, sources) for entry in entries]
    missing = group_by_pixels(entries, [index for index, entry_runs in enumerate(runs) if entry_runs is None])
    wanted = [(entries[index], seeds_of(entries[index], options)) for index in missing]
    for index, new in zip(missing, make(wanted) if wanted else (), strict=True):
        runs[index] = checked = _without_misfit(new)
        if checked.error:
            report(str(checked.error))
    folder = paths.runs(options.records)
    complete = [_with_other_mode(entry_runs, options, sources) for entry_runs in runs if entry_runs is not None]
    counted = [_with_look(entry_runs, folder) for entry_runs in complete]
    outcomes = judge_entries(counted, paths.evidence())
    for entry_runs, outcome in zip(counted, outcomes, strict=True):
        if entry_runs.mode == "retrain":
            record_look(folder, outcome, entry_runs.runs)
        if outcome.error is not None and entry_runs.error is None:  # damaged committed predictions
            report(str(outcome.error))
    return outcomes


def tested_claims(outcome: Outcome) -> list[Judgement]:
    """Return the judgements of the claims that a run of this mode tests."""
    return [judgement for judgement in outcome.judgements if judgement.claim.of == outcome.mode]


def mode_of(options: RunOptions) -> Mode:
    """Return which claims the options ask for: of the published weights, or of retraining."""
    return "retrain" if options.train else "weights"


def seeds_of(entry: Entry, options: RunOptions) -> list[int]:
    """Return the seeds to train an entry with. The entry's claims give their number unless the options do."""
    number = len(default_seeds_of(entry)) if options.seeds is None else options.seeds
    return list(range(options.first_seed, options.first_seed + number))


def run_conditions(options: TrainingOptions, sources: SourceOptions) -> RunConditions:
    """Return the options that decide which cached run answers a request."""
    return RunConditions(
        precision=options.precision,
        micro_batch=options.micro_batch,
        strict=options.strict,
        device=kind_here(options.device),
        lock=str(sources.lock.absolute()) if sources.lock else None,
        cache=str(sources.cache.resolve()) if sources.cache else None,
        data={name: str(folder.resolve()) for name, folder in sources.data.items()},
    )


def find_unchanged(
    entry: Entry,
    mode: Mode,
    seeds: Sequence[int | None],
    options: TrainingOptions,
    sources: SourceOptions,
    working: Path | None = None,
) -> EntryRuns | None:
    """Return the runs of an entry from the run cache if all exist and none of their inputs has changed.

    Any other run that exists has to be confirmed by its identity. With trusted packages that is each run: their code is
    unknown until it is loaded.

    Args:
        entry: The entry.
        mode: Whether the published weights are evaluated or the recipe is trained.
        seeds: The seeds of the trainings; None for an evaluation.
        options: How the runs are made, and the folder of all runs.
        sources: Where the entry's files come from.
        working: The directory in which the runs are made. Default: the current one.
    """
    if sources.trust:
        return None
    folder = (working or Path()) / paths.runs(options.records)
    return find_cached_runs(entry, mode, seeds, run_conditions(options, sources), folder, working)


def _without_misfit(runs: EntryRuns) -> EntryRuns:
    """Return the runs of an entry. That the recipe of a model card does not fit becomes the reason of its claims."""
    error = runs.error
    if runs.entry.card is None or not isinstance(error, UsageError | GatedError | MissingError):
        return runs
    reason = Reason.GATED if isinstance(error, GatedError) else Reason.NO_FIT
    return replace(runs, error=None, not_comparable=str(UnmappedError(reason, first_line(error))))


def _cached(entry: Entry, options: RunOptions, sources: SourceOptions) -> EntryRuns | None:
    if entry.not_compared and not options.train:
        return EntryRuns(entry=entry, mode="weights", not_comparable=entry.not_compared)
    if isinstance(entry.failure, NotComparableError):
        return EntryRuns(entry=entry, mode=mode_of(options), not_comparable=str(entry.failure))
    if options.fresh:
        return None
    seeds = seeds_of(entry, options) if options.train else [None]
    found = find_unchanged(entry, mode_of(options), seeds, options, sources)
    for path, _ in found.runs if found is not None else ():
        LOGGER.info("%s: the run exists, and its inputs have not changed: %s", entry.name, path.parent)
    return found


def _with_other_mode(entry_runs: EntryRuns, options: RunOptions, sources: SourceOptions) -> EntryRuns:
    """Add the cached runs of the other mode, so that a report shows everything that is known of an entry."""
    entry, records = entry_runs.entry, paths.runs(options.records)
    if sources.trust or not entry.is_readable:
        return entry_runs
    mode: Mode = "weights" if entry_runs.mode == "retrain" else "retrain"
    seeds: list[Any] = [None] if mode == "weights" else default_seeds_of(entry)
    conditions = run_conditions(options, sources)
    found = takewhile(bool, (find_cached_runs(entry, mode, [seed], conditions, records) for seed in seeds))
    cached = [other for other in found if other is not None]
    if not cached:
        return entry_runs
    runs = tuple(run for other in cached for run in other.runs)
    return replace(entry_runs, other_mode=replace(cached[0], runs=runs))


def _with_look(entry_runs: EntryRuns, folder: Path) -> EntryRuns:
    """Add how many times the trainings of an entry have been judged, with this time."""
    if entry_runs.other_mode is not None:
        entry_runs = replace(entry_runs, other_mode=_with_look(entry_runs.other_mode, folder))
    if entry_runs.mode != "retrain" or not entry_runs.runs:
        return entry_runs
    return replace(entry_runs, looks=look_numbers(folder, entry_runs.entry, entry_runs.runs))
