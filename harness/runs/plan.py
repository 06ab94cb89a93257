"""List the runs that a command would make, before any of them is made. Never imports torch."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from harness.records.find_runs import find_runs
from harness.records.record import Mode, Record, read_record
from harness.runs.cache import find_cached_runs
from harness.runs.verify import mode_of, run_conditions, seeds_of
from zoo import paths
from zoo.errors import ZooError
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import RunOptions, SourceOptions


@dataclass(frozen=True, kw_only=True)
class PlannedRuns:
    """The runs of one entry in one mode that a command needs."""

    entry: Entry
    mode: Mode
    seeds: tuple[int, ...]
    """The seeds of the trainings; empty for an evaluation of published weights."""
    missing: int
    """The number of runs that have to be made; the others exist."""
    teacher_of: str = ""
    """The entry that needs these runs as its teacher; empty for a selected entry."""
    seconds: float | None = None
    """The median time of such a run, of the user's runs or else of the committed ones; None if there is none."""
    measured_on: str = ""
    """Where that time was measured."""

    @property
    def expected_seconds(self) -> float | None:
        """The time of the missing runs where `seconds` was measured; None if it is unknown."""
        return 0.0 if not self.missing else None if self.seconds is None else self.missing * self.seconds


def plan(entries: Iterable[Entry], options: RunOptions, sources: SourceOptions) -> list[PlannedRuns]:
    """Return the runs that `harness.runs.verify.verify` would use or make, teachers before their students.

    A run of the same recipe, seed and precision counts as one that exists. `verify` looks closer: it makes a run again
    if a data set or a weights file has changed.

    Entries whose recipe or teacher cannot be read are left out, and so are, in a plan of evaluations, entries without
    published weights.

    Args:
        entries: The entries.
        options: Which runs to judge.
        sources: Where the entries' files come from.
    """
    planned: dict[tuple[str, Mode, tuple[int, ...]], PlannedRuns] = {}
    for entry in entries:
        has_weights = entry.is_readable and entry.recipe.weights is not None and not entry.not_compared
        if entry.is_readable and (options.train or has_weights):
            with suppress(ZooError):  # a teacher that does not exist is reported where the entry is run
                for runs in list(_runs_of(entry, options, sources)):
                    planned.setdefault((runs.entry.name, runs.mode, runs.seeds), runs)
    return [_without_teachers(runs, planned.values()) for runs in planned.values()]


def _without_teachers(runs: PlannedRuns, planned: Iterable[PlannedRuns]) -> PlannedRuns:
    """Count a run that is planned as a teacher only there."""
    twice = sum(
        other.missing
        for other in planned
        if other.teacher_of and other.entry == runs.entry and set(other.seeds) <= set(runs.seeds)
    )
    return runs if runs.teacher_of else replace(runs, missing=max(0, runs.missing - twice))


def _runs_of(entry: Entry, options: RunOptions, sources: SourceOptions) -> Iterator[PlannedRuns]:
    mode, runs = mode_of(options), paths.runs(options.records)
    seeds: Sequence[int | None] = seeds_of(entry, options) if options.train else [None]
    conditions = run_conditions(options, sources)
    records = list(_records(runs, entry))

    def exists(seed: int | None) -> bool:
        recorded = any(
            _is_run(record, entry, mode, seed, options.precision, strict=options.strict) for record in records
        )
        return recorded or find_cached_runs(entry, mode, [seed], conditions, runs) is not None

    missing = [seed for seed in seeds if options.fresh or not exists(seed)]
    if missing and options.train:
        yield from _teachers(entry, runs)
    yield _planned(entry, mode, tuple(seed for seed in seeds if seed is not None), len(missing), records)


def _teachers(entry: Entry, runs: Path) -> Iterator[PlannedRuns]:
    for stage in entry.recipe.stages:
        for teacher in stage.all_teachers.values():
            if teacher.run is not None:
                run = entry.teacher_entry(teacher)
                yield from _teachers(run, runs)
                records = list(_records(runs, run))
                exists = any(_is_run(record, run, "retrain", teacher.seed) for record in records)
                yield _planned(run, "retrain", (teacher.seed,), int(not exists), records, teacher_of=entry.name)


def _is_run(
    record: Record, entry: Entry, mode: Mode, seed: int | None, precision: str = "fp32", *, strict: bool = False
) -> bool:
    identity, numerics = record.identity, record.identity.numerics
    asked = (mode, seed, entry.recipe.digest, precision, strict)
    return (identity.mode, identity.seed, identity.digest, numerics["precision"], "strict" in numerics) == asked


def _planned(
    entry: Entry, mode: Mode, seeds: tuple[int, ...], missing: int, records: Iterable[Record], teacher_of: str = ""
) -> PlannedRuns:
    here = [record for record in records if record.identity.mode == mode]
    timed = here or [record for record in _records(paths.evidence(), entry) if record.identity.mode == mode]
    return PlannedRuns(
        entry=entry, mode=mode, seeds=seeds, missing=missing, teacher_of=teacher_of,
        seconds=median(record.cost["seconds"] for record in timed) if timed else None,
        measured_on=", ".join(sorted({"here" if here else _machine(record) for record in timed})),
    )  # fmt: skip


def _machine(record: Record) -> str:
    device, threads = str(record.environment.get("device", "cpu")), record.environment.get("threads")
    return f"{device}, {threads} thread{'s' * (threads != 1)}" if device == "cpu" and threads else device


def _records(runs: Path, entry: Entry) -> Iterator[Record]:
    """Yield the records of an entry's runs."""
    for run in find_runs(runs, entry.name):
        try:
            yield read_record(run.record)
        except ZooError:  # a damaged record is reported where it is judged
            continue
