"""List the runs that a command would make, before any of them is made. Never imports torch."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

from harness.records.find_runs import find_runs
from harness.records.record import Mode
from harness.runs.existing_runs import ExistingRuns
from harness.runs.expected_times import EarlierRuns, ExpectedTime
from harness.runs.trusted_modules import code_folders
from harness.runs.verify import find_unchanged, mode_of, seeds_of
from zoo import paths
from zoo.errors import ZooError
from zoo.files import files_below
from zoo.recipes.catalogue import Entry
from zoo.recipes.devices import kind_here
from zoo.recipes.options import RunOptions, SourceOptions, TrainingOptions

Options = TypeVar("Options", bound=TrainingOptions)


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
    time: ExpectedTime
    """The expected time of one such run."""
    host_memory: int | None = None
    """The largest memory of the process of an earlier run, in bytes; None if it is unknown."""
    gpu_memory: int | None = None
    """The largest memory of a GPU that an earlier run needed, in bytes; None if it is unknown."""
    disk: int | None = None
    """The median size in bytes of the folder of such a run; None if the user has none."""

    @property
    def expected_seconds(self) -> float | None:
        """The expected time of all missing runs, one after the other; None if it is unknown."""
        return 0.0 if not self.missing else None if self.time.seconds is None else self.missing * self.time.seconds

    @property
    def memory(self) -> int | None:
        """The largest memory of such a run in bytes: of the GPU if it was made on one, else of the process."""
        return self.gpu_memory or self.host_memory


def plan(entries: Iterable[Entry], options: RunOptions, sources: SourceOptions) -> list[PlannedRuns]:
    """Return the runs that `harness.runs.verify.verify` would use or make, teachers before their students.

    Which runs exist is decided by `harness.runs.existing_runs`. `verify` looks closer: it makes a run again if a data
    set or a weights file has changed.

    Entries whose recipe or teacher cannot be read are left out, and so are, in a plan of evaluations, entries without
    published weights.

    Args:
        entries: The entries.
        options: Which runs to judge.
        sources: Where the entries' files come from.
    """
    planned: dict[tuple[object, ...], PlannedRuns] = {}
    runs_folder = paths.runs(options.records)
    earlier = EarlierRuns(runs_folder, kind_here(options.device))
    existing = ExistingRuns(partial(find_runs, runs_folder))
    are_alike = computed_like(teacher_options(options)) == computed_like(options)
    for entry in entries:
        has_weights = entry.is_readable and entry.recipe.weights is not None and not entry.not_compared
        if entry.is_readable and (options.train or has_weights):
            with suppress(ZooError):  # a teacher that does not exist is reported where the entry is run
                for runs in list(_runs_of(entry, options, sources, earlier, existing)):
                    is_other = bool(runs.teacher_of) and not are_alike
                    planned.setdefault((*_key(runs.entry), runs.mode, runs.seeds, is_other), runs)
    return [_without_teachers(runs, planned.values()) if are_alike else runs for runs in planned.values()]


def computed_like(options: TrainingOptions) -> tuple[object, ...]:
    """Return the options that make two trainings with one recipe and seed on one device different runs."""
    return options.precision, options.strict, options.micro_batch


def teacher_options(options: Options) -> Options:
    """Return the options by which teachers are made: the default ones on the same device.

    Students look for their teachers under these, whatever their own options are.
    """
    return replace(options, precision="fp32", strict=False, micro_batch=None, fresh=False)


def _without_teachers(runs: PlannedRuns, planned: Iterable[PlannedRuns]) -> PlannedRuns:
    """Count a run that is planned as a teacher only there."""
    twice = sum(
        other.missing
        for other in planned
        if other.teacher_of and _key(other.entry) == _key(runs.entry) and set(other.seeds) <= set(runs.seeds)
    )
    return runs if runs.teacher_of else replace(runs, missing=max(0, runs.missing - twice))


def _key(entry: Entry) -> tuple[str, Path]:
    """Return what identifies an entry, also if a command names the file by another path than a recipe."""
    return entry.name, entry.path.resolve()


def _runs_of(
    entry: Entry, options: RunOptions, sources: SourceOptions, earlier: EarlierRuns, existing: ExistingRuns
) -> Iterator[PlannedRuns]:
    mode = mode_of(options)
    seeds: Sequence[int | None] = seeds_of(entry, options) if options.train else [None]
    missing = [seed for seed in seeds if options.fresh or not _exists(entry, mode, seed, options, existing)]
    if options.train:
        teachers = list(_teachers(entry, teacher_options(options), earlier, existing))
        lacks_teacher = any(runs.missing for runs in teachers)
        if missing or (lacks_teacher and find_unchanged(entry, mode, seeds, options, sources) is None):
            yield from teachers
    yield _planned(entry, mode, tuple(seed for seed in seeds if seed is not None), len(missing), earlier)


def required_teachers(entry: Entry) -> Iterator[tuple[Entry, int, Entry]]:
    """Yield the runs that a training needs as teachers, each after those that it needs itself.

    Yields:
        The entry of the teacher, the seed of its training, and the entry that learns from it.

    Raises:
        ZooError: There is no such entry.
    """
    for stage in entry.recipe.stages:
        for teacher in stage.all_teachers.values():
            if teacher.run is not None:
                run = entry.teacher_entry(teacher)
                yield from required_teachers(run)
                yield run, teacher.seed, entry


def _teachers(
    entry: Entry, options: TrainingOptions, earlier: EarlierRuns, existing: ExistingRuns
) -> Iterator[PlannedRuns]:
    for teacher, seed, student in required_teachers(entry):
        exists = _exists(teacher, "retrain", seed, options, existing)
        yield _planned(teacher, "retrain", (seed,), int(not exists), earlier, teacher_of=student.name)


def _exists(entry: Entry, mode: Mode, seed: int | None, options: TrainingOptions, existing: ExistingRuns) -> bool:
    folders = code_folders(entry, Path.cwd())
    return any(True for _ in existing.matching(entry.name, entry.recipe.digest, mode, seed, options, folders))


def _planned(
    entry: Entry, mode: Mode, seeds: tuple[int, ...], missing: int, earlier: EarlierRuns, teacher_of: str = ""
) -> PlannedRuns:
    sizes = list(_sizes(entry, mode, earlier.runs))
    host, gpu = earlier.memory(entry.name, mode)
    return PlannedRuns(
        entry=entry, mode=mode, seeds=seeds, missing=missing, teacher_of=teacher_of,
        time=earlier.expected_time(entry.name, mode), host_memory=host, gpu_memory=gpu,
        disk=int(median(sizes)) if sizes else None,
    )  # fmt: skip


def _sizes(entry: Entry, mode: Mode, runs: Path) -> Iterator[int]:
    for run in find_runs(runs, entry.name):
        if run.name.startswith(mode):
            yield sum(file.stat().st_size for file in files_below(run.record.parent))
