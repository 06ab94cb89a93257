"""The one rule for which runs exist, without torch and without the inputs of runs.

Plans, dry runs, `zoo status` and `zoo collect --plan` all use it. A command that makes runs looks closer: it makes a
run again if a data set, a weights file or the code of a metric has changed.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from harness.records.find_runs import FoundRun
from harness.records.record import Mode, Record, read_record
from harness.runs.trusted_modules import has_same_code
from zoo.errors import ZooError
from zoo.recipes.devices import kind_here
from zoo.recipes.options import TrainingOptions


def is_run_of(
    record: Record,
    recipe: str,
    mode: Mode,
    seed: int | None,
    options: TrainingOptions,
    folders: Collection[Path],
) -> bool:
    """Return whether a record is of the run of a recipe under these options.

    Args:
        record: The record.
        recipe: The digest of the recipe.
        mode: Whether the published weights are evaluated or the recipe is trained.
        seed: The seed of the training.
        options: How the run is made. Its precision, `strict`, device and, for a training, micro-batch count. A device
            that is not known here, see `kind_here`, may be any.
        folders: Where the run looks for trusted packages first, see `code_folders`.
    """
    identity, numerics = record.identity, record.identity.numerics
    micro_batch = options.micro_batch if mode == "retrain" else None
    return (
        (identity.mode, identity.seed, identity.digest) == (mode, seed, recipe)
        and numerics.get("precision") == options.precision
        and bool(numerics.get("strict")) == options.strict
        and numerics.get("micro_batch") == micro_batch
        and kind_here(options.device) in (None, numerics.get("device"))
        and has_same_code(record, folders)
    )


@dataclass
class ExistingRuns:
    """The runs of entries. Only the records that may answer a question are read."""

    find: Callable[[str], Sequence[FoundRun]]
    """Returns the runs of an entry by its name, such as `partial(find_runs, folder)`."""
    _by_entry: dict[str, Sequence[FoundRun]] = field(default_factory=dict)

    def matching(
        self,
        entry: str,
        recipe: str,
        mode: Mode,
        seed: int | None,
        options: TrainingOptions,
        folders: Collection[Path],
        since: float = 0.0,
    ) -> Iterator[FoundRun]:
        """Yield the runs of an entry that were made with this recipe, mode and seed, and under these options.

        Args:
            entry: The name of the entry.
            recipe: See `is_run_of`, and so for the following ones.
            mode: The mode of the run.
            seed: The seed of the training.
            options: How the run is made.
            folders: Where the run looks for trusted packages first.
            since: Count only records that were created after this time, in seconds since 1970.
        """
        for run, record in self._records(entry, mode, seed):
            if _created(record) >= since and is_run_of(record, recipe, mode, seed, options, folders):
                yield run

    def _records(self, entry: str, mode: Mode, seed: int | None) -> Iterator[tuple[FoundRun, Record]]:
        """Yield the runs of an entry whose folders are named after this mode and seed, with their records."""
        if entry not in self._by_entry:
            self._by_entry[entry] = self.find(entry)
        start = f"{mode}-" if seed is None else f"{mode}-seed{seed}-"
        for run in self._by_entry[entry]:
            if run.name.startswith(start):
                try:
                    yield run, read_record(run.record)
                except ZooError:  # a damaged record is reported where it is judged
                    continue


def _created(record: Record) -> float:
    """Return when a record was created, in seconds since 1970; 0 if it does not say that."""
    try:
        return datetime.fromisoformat(record.created).timestamp()
    except ValueError:
        return 0.0
