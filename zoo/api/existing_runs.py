"""Find the runs that exist before a command, and report the options that have no effect on them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from zoo import paths
from zoo.progress import Report
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import TrainingOptions


def records_of(entries: Sequence[Entry], options: TrainingOptions, *others: Path) -> dict[Path, int]:
    """Return the records of entries that exist now, see `harness.records.find_runs.record_times`."""
    from harness.records.find_runs import record_times

    return record_times(paths.runs(options.records), [entry.name for entry in entries], *others)


def report_without_effect(
    options: TrainingOptions, records: Sequence[Path], earlier: Mapping[Path, int], report: Report
) -> None:
    """Report the trainings that existed already, so that options of a training have no effect on them."""
    from harness.records.find_runs import is_among
    from harness.records.training_log import without_epoch_scores

    if options.score_epochs and (unscored := len(without_epoch_scores(records, earlier))):
        report(
            f"--score-epochs has no effect on {_existing_runs(unscored)}, trained without it; to train and score"
            " again, add --fresh"
        )
    if options.log_to and (existing := sum(is_among(path, earlier) for path in records)):
        report(f"--log-to has no effect on {_existing_runs(existing)}; to train again, add --fresh")


def _existing_runs(number: int) -> str:
    return "1 run that exists" if number == 1 else f"{number} runs that exist"
