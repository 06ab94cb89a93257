"""Where a run is recorded, and whether it exists there."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.records.check import verify_record
from harness.records.find_runs import find_elsewhere
from harness.records.record import FILE, Identity, Record, read_record
from harness.runs.experiment import Experiment, RunContext
from harness.runs.rescoring import same_training
from harness.runs.run_files import files_of_others
from harness.runs.unfinished import work_folder
from zoo.errors import UsageError, ZooError
from zoo.files import is_inside
from zoo.recipes.catalogue import Entry
from zoo.text_tables import number


@dataclass(frozen=True, kw_only=True)
class RunLocation:
    """The folders of a run: one for its record, one for its checkpoints while it is made."""

    entry: Entry
    identity: Identity
    context: RunContext
    folder: Path
    """The folder of the finished run."""
    fallbacks: set[str] = field(default_factory=set, compare=False)
    """The operations that the device lacks, and that were computed on the CPU while the run was made."""

    @property
    def is_rescored(self) -> bool:
        """Whether the folder holds the same training with other metrics."""
        file = self.folder / FILE
        recipe = self.entry.recipe.data()
        return file.exists() and same_training(read_record(file), self.identity, recipe)

    @property
    def work(self) -> Path:
        """The folder of the run's checkpoints and log while it is made; it outlives a kill."""
        return work_folder(self.context.runs, self.entry.name, self.identity, self.entry.recipe.data())


def locate_run(experiment: Experiment, identity: Identity, out: Path | None = None) -> RunLocation:
    """Return where a run is recorded: in `out`, or below the folder of all runs, or where an earlier `out` was."""
    runs, name = experiment.context.runs, experiment.entry.name
    folder = out or runs / name / identity.folder
    if out is None and not experiment.context.fresh and not (folder / FILE).exists():
        folder = find_elsewhere(runs, name, identity) or folder
    return RunLocation(entry=experiment.entry, identity=identity, context=experiment.context, folder=folder)


def existing_record(location: RunLocation) -> Record | None:
    """Return the record of a run that exists; None if the run is to be made, perhaps again.

    Raises:
        UsageError: The folder holds another run, or files that would be lost, or may be, if the run were made again.
        IntegrityError: A file of the run differs from its record.
    """
    file, fresh = location.folder / FILE, location.context.fresh
    if not file.exists():
        if location.folder.is_dir() and any(location.folder.iterdir()):  # found before the run is made, not after it
            raise UsageError(f"{location.folder} holds files, but no run: it has no {FILE}; move the folder away")
        return None
    try:
        record = read_record(file)
    except ZooError as error:
        if not fresh:
            raise
        if is_inside(location.folder, location.context.runs):
            return None
        raise UsageError(
            f"--fresh replaces only runs, but the record of {location.folder} cannot be read: {error}; move the folder"
            " away, or pass a new folder to --out"
        ) from None
    if record.identity != location.identity:
        if location.is_rescored:
            return None
        wanted, recorded = asdict(location.identity), asdict(record.identity)
        differing = ", ".join(name for name, value in wanted.items() if value != recorded[name])
        raise UsageError(
            f"{location.folder} holds another run of {record.entry} (another {differing}); pass a new folder to --out"
        )
    if fresh:
        _check_replaceable(location, record)
        return None
    verify_record(file, record)
    return record


def _check_replaceable(location: RunLocation, record: Record) -> None:
    """Report which training is made again. Raise UsageError if its folder has files that would be lost."""
    folder, name = location.folder, location.entry.name
    others = [path.relative_to(folder).as_posix() for path in files_of_others(folder, record)] if record.files else []
    if others:
        raise UsageError(
            f"{name}: --fresh replaces {folder}, but the run did not write all of it ({', '.join(others[:3])}); move"
            " such files away, or pass a new folder to --out"
        )
    if record.identity.mode == "retrain":
        listed = [
            f"{metric} on {result.split} {number(score['value'])}"
            for result in record.results
            for metric, score in result.metrics.items()
        ]
        replaced = f"the run with seed {record.identity.seed} in {folder}, made at {record.created}"
        location.context.report(
            f"{name}: making {replaced}, again; it is replaced once the new run is complete: {', '.join(listed)}"
        )
