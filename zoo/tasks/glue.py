"""GLUE: Wang et al., GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding, ICLR 2019.

Rows are those of `nyu-mll/glue` on the Hub. The labels of the test splits are hidden: they are predicted for a
submission, never scored. Texts are not changed in any way; a pair is cut to 128 tokens, the longer text first, as the
published models were trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from zoo.errors import IntegrityError, UsageError, did_you_mean
from zoo.fetch.sources import Source
from zoo.tasks.base import Split, Task, TextSplit
from zoo.tasks.tables import read_repository

ENTAILMENT = ("entailment", "neutral", "contradiction")
AX = "ax"
"""The diagnostic set: pairs with MNLI's classes, predicted by a model of MNLI."""


@dataclass(frozen=True)
class GlueTask:
    """What is particular to one of the nine: text columns, names of the classes (none: a regression), metrics."""

    texts: tuple[str, ...]
    classes: tuple[str, ...]
    metrics: tuple[str, ...]
    scored: tuple[str, ...] = ("validation",)
    hidden: tuple[str, ...] = ("test",)


GLUE: Mapping[str, GlueTask] = {
    "cola": GlueTask(("sentence",), ("unacceptable", "acceptable"), ("matthews_correlation",)),
    "sst2": GlueTask(("sentence",), ("negative", "positive"), ("accuracy",)),
    "mrpc": GlueTask(("sentence1", "sentence2"), ("not_equivalent", "equivalent"), ("accuracy", "f1")),
    "stsb": GlueTask(("sentence1", "sentence2"), (), ("pearson", "spearman")),
    "qqp": GlueTask(("question1", "question2"), ("not_duplicate", "duplicate"), ("accuracy", "f1")),
    "mnli": GlueTask(
        ("premise", "hypothesis"), ENTAILMENT, ("accuracy",),
        ("validation_matched", "validation_mismatched"), ("test_matched", "test_mismatched"),
    ),
    "qnli": GlueTask(("question", "sentence"), ("entailment", "not_entailment"), ("accuracy",)),
    "rte": GlueTask(("sentence1", "sentence2"), ("entailment", "not_entailment"), ("accuracy",)),
    "wnli": GlueTask(("sentence1", "sentence2"), ("not_entailment", "entailment"), ("accuracy",)),
}  # fmt: skip


def glue(*, name: str, data: Source, tokenizer: Any, max_length: int = 128) -> Task:
    """One of the nine tasks: cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli; `data` is laid out as nyu-mll/glue.

    Splits are `train`, `validation` and `test`; of mnli `validation_matched`, `validation_mismatched`, `test_matched`,
    `test_mismatched`, and `ax`. Raises UsageError for another name, and IntegrityError where the data name other
    classes, or the same in another order.
    """
    if name not in GLUE:
        raise UsageError(f"GLUE has no task {name!r}{did_you_mean(name, list(GLUE))}")
    of = GLUE[name]

    def load(split: str) -> Split:
        config = AX if split == AX else name
        table = read_repository(data.fetch(f"data/{config}"), config, "test" if split == AX else split)
        classes = table.classes.get("label", ())
        if classes != of.classes:
            raise IntegrityError(
                f"{data.name}: {config} has the classes {_names(classes)}, expected {_names(of.classes)}"
            )
        where = f"{data.name}: {config}, {split}"
        given = _numbers(table.column("label"), where)
        labels = torch.tensor(given, dtype=torch.int64 if of.classes else torch.float32)
        if split in of.scored or split == "train":
            _check_labels(labels, of, where)
        return TextSplit(table.texts(of.texts), labels, tokenizer=tokenizer, max_length=max_length)

    configs = (name, AX) if name == "mnli" else (name,)
    names = ("train", *of.scored, *of.hidden, *([AX] if name == "mnli" else []))
    return Task(
        name=f"glue/{name}",
        splits={split: partial(load, split) for split in names},
        scored=of.scored,
        metrics=of.metrics,
        kind="classification" if of.classes else "regression",
        label_names=of.classes,
        sources=tuple((data, f"data/{config}") for config in configs),
    )


def _numbers(labels: list[Any], where: str) -> list[float]:
    """Raise IntegrityError for a label that is no number."""
    row = next((row for row, label in enumerate(labels) if not isinstance(label, int | float)), None)
    if row is not None:
        raise IntegrityError(f"{where}: row {row} has the label {labels[row]!r}, which is no number")
    return labels


def _check_labels(labels: torch.Tensor, of: GlueTask, where: str) -> None:
    """Raise IntegrityError for a label that is none, as of a split whose labels are hidden."""
    low, high = (0, len(of.classes) - 1) if of.classes else (0, 5)
    wrong = (~((labels >= low) & (labels <= high))).nonzero()  # what is no number is neither
    if len(wrong):
        row = int(wrong[0])
        raise IntegrityError(
            f"{where}: row {row} has the label {labels[row].item():g}, which is not in {low} to {high}"
        )


def _names(classes: tuple[str, ...]) -> str:
    return ", ".join(classes) or "none (a regression)"
