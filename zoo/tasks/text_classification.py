"""Classification or regression of texts from files (CSV, TSV, JSON lines, parquet) or the Hub."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from zoo.errors import UsageError, did_you_mean
from zoo.fetch.sources import Source
from zoo.tasks.base import Task
from zoo.tasks.dialect import Dialect, Header
from zoo.tasks.labelled_rows import LabelledRows, Labels
from zoo.tasks.labels import SEPARATOR, Classes
from zoo.tasks.splits import TextSplit
from zoo.tasks.tables import Column
from zoo.tasks.thresholds import HALF, threshold_problems

TextKind = Literal["classification", "multilabel", "regression"]
"""The kinds of labels that a text can have."""
METRICS: Mapping[TextKind, tuple[str, ...]] = {
    "classification": ("accuracy",), "multilabel": ("f1_micro",), "regression": ("pearson", "spearman"),
}  # fmt: skip


def text_classification(
    *,
    data: Source | Mapping[str, Source],
    text: Column | Sequence[Column],
    tokenizer: Any,
    label: Column = "label",
    classes: Classes = (),
    kind: TextKind = "classification",
    threshold: float | None = None,
    threshold_from: str | None = None,
    config: str | None = None,
    splits: str | Sequence[str] = ("train", "validation"),
    scored: str | Sequence[str] | None = None,
    max_length: int = 128,
    quotes: bool | None = None,
    header: Header | Mapping[str, Header] = True,
    extra_fields: bool = False,
    encoding: str | None = None,
) -> Task:
    """Return a task over texts or pairs of texts.

    Args:
        data: A data set of the Hub, or one file for each split: `{train: "file:train.csv", ...}`.
        text: The column with the text, or two columns for pairs.
        tokenizer: A tokenizer of transformers.
        label: The column with the label: the name of a class, or its number if no class is called like a number;
            several classes, as a list or as `a|b`, if `kind` is "multilabel"; a number if `kind` is "regression".
        classes: The names of the classes, in the order of the model's outputs, or their number. The names that a data
            set declares are matched with them. Default: the names that the data set declares, in its order; or else
            the distinct labels of the split for training, sorted, unless all of them are class numbers.
        kind: "classification", "multilabel" or "regression".
        threshold: If `kind` is "multilabel", the probability above which a label is predicted. Default: one half, or
            with `threshold_from` alone the one with the largest micro-averaged F1 on that split.
        threshold_from: The split that `threshold` was chosen on. Claims on that split itself are not compared; if zoo
            chooses the threshold, that split is scored with one half. Default: the threshold was fixed beforehand.
        config: The configuration of a data set of the Hub.
        splits: The splits of a data set of the Hub to offer. Files define their own.
        scored: The splits that are evaluated. Their labels must be public. Default: all but `train`, validation splits
            first, then by name.
        max_length: Longer rows are cut to this number of tokens.
        quotes: Whether double quotes delimit a field of CSV or TSV. Default: in CSV they do, in TSV they are text.
        header: Whether the first line of CSV or TSV names the columns; or their names, for a file without such a line.
            It may be a mapping with one of these for each split. Columns have numbers from 0 as well.
        extra_fields: Whether a row of CSV or TSV may have more fields than columns; they are left out.
        encoding: The encoding of CSV, TSV and JSON. Default: UTF-8, or what a byte order mark says.

    Raises:
        UsageError: An argument is wrong. `Task.load` raises it, with the row, for a text or label that is wrong.
    """
    columns = (text,) if isinstance(text, str | int) else tuple(text)
    rows = LabelledRows(
        data=data,
        label=label,
        classes=classes,
        kind=kind,
        config=config,
        splits=splits,
        scored=scored,
        dialect=Dialect(quotes=quotes, header=header, extra_fields=extra_fields, encoding=encoding),
    )
    if problems := list(_argument_problems(columns, kind, rows.listed)):
        raise UsageError("; ".join(problems))
    for argument, problem in threshold_problems(threshold, threshold_from, kind):
        raise UsageError(problem).about(argument)

    def make(texts: list[tuple[str, ...]], labels: Labels) -> TextSplit:
        return TextSplit(
            texts, labels.values, tokenizer=tokenizer, max_length=max_length, classes=labels.classes,
            class_notes=labels.notes,
        )  # fmt: skip

    return Task(
        name="text_classification",
        splits=rows.text_splits(columns, make),
        scored=rows.scored_splits,
        metrics=METRICS[kind],
        kind=kind,
        threshold=HALF if threshold is None and threshold_from is None else threshold,
        threshold_from=threshold_from or "",
        label_names=rows.listed,
        sources=rows.needs,
    )


def _argument_problems(columns: Sequence[Column], kind: str, classes: Sequence[str]) -> Iterator[str]:
    if len(columns) not in (1, 2):
        yield f"text must name one column or two, not {len(columns)}"
    if kind not in METRICS:
        yield f"kind cannot be {kind!r}{did_you_mean(kind, list(METRICS))}"
    if kind == "multilabel" and (separated := next((name for name in classes if SEPARATOR in name), None)):
        yield f"classes: {separated!r} holds {SEPARATOR!r}, which separates the classes of a row"
