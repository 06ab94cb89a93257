"""GLUE: Wang et al., GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding, ICLR 2019.

The rows come from `nyu-mll/glue` on the Hub. The labels of the test splits are hidden: predictions for them go into a
submission and are never scored here. The texts are not changed. A pair is cut to 128 tokens, the longer text first, as
in the training of the published models.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from zoo.class_names import match_classes
from zoo.errors import IntegrityError, UsageError, did_you_mean
from zoo.fetch.sources import Source
from zoo.tasks.base import Split, Task
from zoo.tasks.splits import TextSplit
from zoo.tasks.tables import read_repository

ENTAILMENT = ("entailment", "neutral", "contradiction")
AX = "ax"
"""The diagnostic set: pairs with MNLI's classes. A model of MNLI predicts them."""


@dataclass(frozen=True)
class GlueTask:
    """Columns, classes, metrics and splits of one of the nine tasks."""

    texts: tuple[str, ...]
    """The columns with the texts."""
    classes: tuple[str, ...]
    """The names of the classes; empty for a regression."""
    metrics: tuple[str, ...]
    scored: tuple[str, ...] = ("validation",)
    hidden: tuple[str, ...] = ("test",)
    """The splits whose labels are hidden."""


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
    """Return one of the nine GLUE tasks.

    The splits are `train`, `validation` and `test`. MNLI has `train`, `validation_matched`, `validation_mismatched`,
    `test_matched`, `test_mismatched` and `ax`, the diagnostic set.

    Args:
        name: "cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte" or "wnli".
        data: A data set of the Hub with the layout of `nyu-mll/glue`.
        tokenizer: A tokenizer of transformers.
        max_length: Longer rows are cut to this number of tokens.

    Raises:
        UsageError: `name` is another name.
        IntegrityError: The data declare other classes, or the same classes in another order, or a label is out of
            range.
    """
    if name not in GLUE:
        raise UsageError(f"GLUE has no task {name!r}{did_you_mean(name, list(GLUE))}")
    spec = GLUE[name]

    def load(split: str) -> Split:
        config = AX if split == AX else name
        table = read_repository(data.fetch(f"data/{config}"), config, "test" if split == AX else split)
        notes = _check_classes(table.classes.get("label", ()), spec.classes, f"{data.name}: {config}")
        where = f"{data.name}: {config}, {split}"
        numbers = _check_numbers(table.column("label"), where)
        labels = torch.tensor(numbers, dtype=torch.int64 if spec.classes else torch.float32)
        if split in spec.scored or split == "train":
            _check_range(labels, spec, where)
        texts = table.texts(spec.texts)
        return TextSplit(texts, labels, tokenizer=tokenizer, max_length=max_length, class_notes=(*table.notes, *notes))

    configs = (name, AX) if name == "mnli" else (name,)
    names = ("train", *spec.scored, *spec.hidden, *([AX] if name == "mnli" else []))
    return Task(
        name=f"glue/{name}",
        splits={split: partial(load, split) for split in names},
        scored=spec.scored,
        metrics=spec.metrics,
        kind="classification" if spec.classes else "regression",
        label_names=spec.classes,
        sources=tuple((data, f"data/{config}") for config in configs),
    )


def _check_classes(declared: tuple[str, ...], expected: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Return notes on how the names match. Raises IntegrityError for other classes, or for another order."""
    match = None
    if len(declared) == len(expected):
        with suppress(UsageError):
            match = match_classes(declared, expected, side="the data set", other="GLUE")
    if match is None or match.positions != tuple(range(len(expected))):
        raise IntegrityError(f"{where} has the classes {_join(declared)}, expected {_join(expected)}")
    return (match.note,) if match.note else ()


def _check_numbers(labels: list[Any], where: str) -> list[float]:
    row = next((row for row, label in enumerate(labels) if not isinstance(label, int | float)), None)
    if row is not None:
        raise IntegrityError(f"{where}: row {row} has the label {labels[row]!r}, which is not a number")
    return labels


def _check_range(labels: torch.Tensor, spec: GlueTask, where: str) -> None:
    """Raise IntegrityError for a label that is out of range, such as the -1 of a split with hidden labels."""
    low, high = (0, len(spec.classes) - 1) if spec.classes else (0, 5)
    wrong = (~((labels >= low) & (labels <= high))).nonzero()  # also finds NaN
    if len(wrong):
        row = int(wrong[0])
        raise IntegrityError(
            f"{where}: row {row} has the label {labels[row].item():g}, which is not in {low} to {high}"
        )


def _join(classes: tuple[str, ...]) -> str:
    return ", ".join(classes) or "none (a regression)"
