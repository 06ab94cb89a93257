"""Use the data of a comparison, if they are those that were scored: show flipped examples, and group dependent ones."""

from dataclasses import replace
from typing import Protocol

import numpy as np

from harness.diagnosis.diff.comparison import diff
from harness.diagnosis.diff.example_preview import preview_example
from harness.diagnosis.diff.groups import Groups, group_by_texts
from harness.diagnosis.diff.types import Diff, SplitDiff
from harness.records.record import Record
from harness.records.recorded_entry import entry_of
from zoo.errors import UnreachableError, UsageError, ZooError
from zoo.recipes.schema import Recipe
from zoo.tasks.base import Split, Task, content_hash

HASHED = 20_000
"""The most rows whose content is hashed to check that they are the recorded ones. Beyond this, only labels are."""


class HasTask(Protocol):
    """The part of a `harness.runs.experiment.Experiment` that is needed here: its checked recipe and its task."""

    @property
    def recipe(self) -> Recipe: ...

    @property
    def task(self) -> Task: ...


def with_groups(comparison: Diff, experiment: HasTask | None, *, failure: ZooError | None = None) -> Diff:
    """Return a comparison whose standard errors and tests are clustered by the texts that examples share.

    Args:
        comparison: The comparison.
        experiment: The experiment of record A's entry; None if it is not available.
        failure: The error of making the experiment.

    Returns:
        The comparison with groups where the examples are texts. If the data are missing or are not the recorded ones,
        it is unchanged, and `why_no_groups` is the reason.
    """
    try:
        if experiment is None:
            raise failure or UsageError("the data are not available")
        _check_recipe(comparison, experiment)
        found = {split.split: _groups(split, experiment, comparison.a) for split in comparison.splits}
    except UnreachableError:
        argument = entry_of(comparison.path_a, comparison.a).argument
        why = f"the texts of {comparison.a.entry} are not on this machine; `zoo fetch {argument}` downloads them"
        return replace(comparison, why_no_groups=why)
    except ZooError as error:
        return replace(comparison, why_no_groups=str(error))
    groups = {name: of_split for name, of_split in found.items() if of_split is not None}
    return diff(comparison.path_a, comparison.path_b, groups) if groups else comparison


def _groups(diff: SplitDiff, experiment: HasTask, record: Record) -> Groups | None:
    """Return the groups of a split; None if its examples are no texts, or the records have other examples."""
    is_comparable = diff.labels is not None and any(change.interval for change in diff.metrics)
    texts = getattr(_recorded_split(diff, experiment, record), "texts", None) if is_comparable else None
    return None if texts is None else group_by_texts(texts)


def with_examples(comparison: Diff, experiment: HasTask | None, *, limit: int = 20, why: str = "") -> Diff:
    """Return a comparison with the texts or images of its flipped examples.

    Args:
        comparison: The comparison.
        experiment: The experiment of record A's entry; None if it is not available.
        limit: The number of examples to show for each split.
        why: Why there is no experiment.

    Returns:
        The comparison with previews. If the data are missing or are not the recorded ones, it has no previews, and
        `why_no_examples` is the reason.
    """
    if experiment is None or not comparison.flipped:
        return replace(comparison, why_no_examples=why)
    try:
        _check_recipe(comparison, experiment)
        splits = tuple(_with_previews(split, experiment, comparison.a, limit) for split in comparison.splits)
        return replace(comparison, splits=splits)
    except ZooError as error:
        return replace(comparison, why_no_examples=str(error))


def _check_recipe(comparison: Diff, experiment: HasTask) -> None:
    if experiment.recipe.digest not in (comparison.a.identity.digest, comparison.b.identity.digest):
        raise UsageError(f"the recipe of {experiment.recipe.name} is not the one that was run")


def _with_previews(diff: SplitDiff, experiment: HasTask, record: Record, limit: int) -> SplitDiff:
    if not diff.examples:
        return diff
    split = _recorded_split(diff, experiment, record)
    shown = [replace(example, preview=preview_example(split, example.id)) for example in diff.examples[:limit]]
    return replace(diff, examples=(*shown, *diff.examples[limit:]), classes=experiment.task.class_names)


def _recorded_split(diff: SplitDiff, experiment: HasTask, record: Record) -> Split:
    """Load a split. Raises UsageError if its rows are not those of the record."""
    split = experiment.task.load(diff.split)
    if not _is_recorded(split, diff, record):
        raise UsageError(f"the rows of {experiment.task.name}, {diff.split}, are not those that were scored")
    return split


def _is_recorded(split: Split, diff: SplitDiff, record: Record) -> bool:
    """Return whether the rows of a split are those of a record, by content, or for many rows by labels alone."""
    if len(split) != diff.n or not np.array_equal(split.labels.numpy(), np.asarray(diff.labels)):
        return False
    recorded = record.identity.sources["data"].get(diff.split, {}).get("sha256")
    return recorded is None or len(split) > HASHED or content_hash(split) == recorded
