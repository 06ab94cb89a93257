"""The one rule for which runs exist, without torch and without the inputs of runs.

Plans, dry runs, `zoo status` and `zoo collect --plan` all use it. A command that makes runs looks closer: it makes a
run again if a data set, a weights file or the code of a metric has changed.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.records.find_runs import FoundRun, find_runs
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
    """The runs in a folder. Only the records that may answer a question are read."""

    runs: Path
    """The folder of all runs."""
    _by_entry: dict[str, list[FoundRun]] = field(default_factory=dict)

    def has(
        self,
        entry: str,
        recipe: str,
        mode: Mode,
        seed: int | None,
        options: TrainingOptions,
        folders: Collection[Path],
    ) -> bool:
        """Return whether an entry's run exists. For the arguments see `is_run_of`."""
        records = self._records(entry, mode, seed)
        return any(is_run_of(record, recipe, mode, seed, options, folders) for record in records)

    def _records(self, entry: str, mode: Mode, seed: int | None) -> Iterator[Record]:
        """Yield the records of an entry whose folders are named after this mode and seed."""
        if entry not in self._by_entry:
            self._by_entry[entry] = find_runs(self.runs, entry)
        start = f"{mode}-" if seed is None else f"{mode}-seed{seed}-"
        for run in self._by_entry[entry]:
            if run.name.startswith(start):
                try:
                    yield read_record(run.record)
                except ZooError:  # a damaged record is reported where it is judged
                    continue
