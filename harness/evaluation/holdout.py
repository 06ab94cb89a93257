"""Take rows out of a split as a split of their own, by torch's `random_split`."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch.utils.data import Subset, random_split

from harness.evaluation.subset import SplitSubset, subset
from zoo.errors import UsageError
from zoo.recipes.schema import Holdout
from zoo.tasks.base import CPU, Batch, Split, Task, read_batch
from zoo.tasks.hidden_labels import are_hidden
from zoo.tasks.splits import TextSplit


def with_holdout(task: Task, holdout: Holdout | None) -> Task:
    """Return a task with a hold-out: one split loses its rows, and a new one, which is scored, has them.

    Args:
        task: The task. One without the split is returned as it is.
        holdout: The hold-out, or None for the task as it is.

    Raises:
        UsageError: The task has a split of the hold-out's name. Loading a split raises it if one of the parts would be
            empty, or if the task cannot read the split without random transforms.
    """
    if holdout is None or holdout.of not in task.splits:
        return task
    if holdout.name in task.splits:
        advice = "choose another name: `name: held_out`"
        raise UsageError(f"holdout: the task {task.name} has a split {holdout.name!r} already; {advice}")

    @cache
    def parts() -> tuple[list[int], list[int]]:
        return _parts_of(task.load(holdout.of), holdout)

    splits = {
        **task.splits,
        holdout.of: lambda: part(task.load(holdout.of), parts()[0]),
        holdout.name: lambda: part(_labelled(_plain(task, holdout.of), task, holdout), parts()[1]),
    }
    return replace(task, splits=splits, scored=(*task.scored, holdout.name), loaded={}, contents={})


def _parts_of(split: Split, holdout: Holdout) -> tuple[list[int], list[int]]:
    """Return the examples that stay and those that are held out. Examples of one group stay together."""
    groups: Sequence[int] | None = getattr(split, "example_groups", None)
    if groups is None:
        return held_out_rows(example_count(split), holdout)
    _, held = held_out_rows(len(set(groups)), holdout)
    is_held = np.isin(groups, held)
    return np.flatnonzero(~is_held).tolist(), np.flatnonzero(is_held).tolist()


def held_out_rows(count: int, holdout: Holdout) -> tuple[list[int], list[int]]:
    """Return the rows that stay and the rows that are held out, each in ascending order."""
    generator, shares = torch.Generator().manual_seed(holdout.seed), [1 - holdout.share, holdout.share]
    with warnings.catch_warnings():  # an empty part is an error below
        warnings.simplefilter("ignore")
        parts: list[Subset[int]] = random_split(range(count), shares, generator)  # type: ignore[arg-type]
    stay, held = (sorted(part.indices) for part in parts)
    if not stay or not held:
        raise UsageError(f"holdout: a share of {holdout.share:g} of {count} rows leaves one of the parts empty")
    return stay, held


def _plain(task: Task, split: str) -> Split:
    """Load a split without random transforms."""
    if split in task.plain:
        return task.plain[split]()
    loaded = task.load(split)
    if not getattr(loaded, "fixed", False):
        raise UsageError(f"holdout: {task.name} cannot read {split!r} without its random transforms")
    return loaded


def _labelled(split: Split, task: Task, holdout: Holdout) -> Split:
    """Return a split, of which a part is to be scored. Raises UsageError if its labels are hidden."""
    if task.kind != "segmentation" and are_hidden(split.labels, task.kind):
        raise UsageError(f"holdout: the labels of {holdout.of!r} are hidden, so no part of it can be scored")
    return split


def example_count(split: Split) -> int:
    """Return the number of examples of a split; several rows may belong to one example."""
    return int(getattr(split, "example_count", len(split)))


def part(split: Split, rows: Sequence[int]) -> Split:
    """Return rows of a split, in ascending order, as a split of their own: the ids of a batch are positions in it."""
    if hasattr(split, "of_examples"):  # a row is only a part of an example
        return split.of_examples(rows)  # type: ignore[no-any-return]
    return subset(split, rows) if isinstance(split, TextSplit) else _Part(split, tuple(rows))


@dataclass(frozen=True)
class _Part(SplitSubset):
    """Rows of a split as a split of their own: the ids of a batch are positions in it."""

    @property
    def fixed(self) -> bool:
        return getattr(self.split, "fixed", False)

    @property
    def classes(self) -> tuple[str, ...]:
        return getattr(self.split, "classes", ())

    @property
    def class_notes(self) -> tuple[str, ...]:
        return getattr(self.split, "class_notes", ())

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        batch = read_batch(self.split, [self.positions[index] for index in indices], device)
        return replace(batch, ids=torch.as_tensor(indices, dtype=torch.int64, device=batch.ids.device))
