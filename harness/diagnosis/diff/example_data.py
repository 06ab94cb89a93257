"""What the flipped examples of two records look like: the entry's data, if they are the ones that were scored."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from harness.diagnosis.diff.comparison import Diff, SplitDiff
from harness.diagnosis.diff.example_preview import preview_example
from harness.records.record import Record
from zoo.errors import UsageError, ZooError
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.schema import Recipe
from zoo.tasks.base import Split, Task, content_hash

RECIPE = "recipe.yaml"
"""The recipe beside the record of a training."""
HASHED = 20_000
"""The most rows that are read through to see whether they are the recorded ones; of more only the labels are."""


class Ready(Protocol):
    """What is read of a `harness.runs.experiment.Experiment`: its recipe, checked, and its task."""

    @property
    def recipe(self) -> Recipe: ...

    @property
    def task(self) -> Task: ...


def entry_of(path: Path, record: Record) -> Entry:
    """The entry that a record is of: the shipped one, or for a recipe of the user's the one beside the record.

    Raises UsageError where there is neither, or what is shipped now is another recipe.
    """
    beside = path.parent / RECIPE
    if any(entry.name == record.entry for entry in catalogue.entries()):
        found = catalogue.one(record.entry)
        if found.recipe.digest == record.identity.digest:
            return found
    if not beside.is_file():
        raise UsageError(f"the recipe of {record.entry} that was run is not here: digest {record.identity.digest[:12]}")
    return catalogue.local(beside)


def with_examples(found: Diff, study: Ready | None, *, limit: int = 20, why: str = "") -> Diff:
    """The same with what the first `limit` flipped examples of each split look like, from the study of A's entry.

    Without a study, for the reason `why`, or where the data are not the recorded ones or cannot be had, nothing is
    shown, and why.
    """
    if study is None or not found.flipped:
        return replace(found, why=why)
    try:
        if study.recipe.digest not in (found.a.identity.digest, found.b.identity.digest):
            raise UsageError(f"the recipe of {study.recipe.name} is not the one that was run")
        return replace(found, parts=tuple(_with_looks(part, study, found.a, limit) for part in found.parts))
    except ZooError as error:
        return replace(found, why=str(error))


def _with_looks(part: SplitDiff, study: Ready, record: Record, limit: int) -> SplitDiff:
    if not part.examples:
        return part
    split = study.task.load(part.split)
    if not _is_recorded(split, part, record):
        raise UsageError(f"the rows of {study.task.name}, {part.split}, are not those that were scored")
    seen = [replace(one, look=preview_example(split, one.id)) for one in part.examples[:limit]]
    return replace(part, examples=(*seen, *part.examples[limit:]), classes=study.task.class_names)


def _is_recorded(split: Split, part: SplitDiff, record: Record) -> bool:
    """Whether a split's rows are those of a record: by their content, of many by their labels alone."""
    if len(split) != part.n or not np.array_equal(split.labels.numpy(), np.asarray(part.labels)):
        return False
    recorded = record.identity.sources["data"].get(part.split, {}).get("sha256")
    return recorded is None or len(split) > HASHED or content_hash(split) == recorded
