"""Semantic textual similarity: pairs of texts with a real-valued score."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from zoo.errors import UsageError
from zoo.fetch.sources import Source
from zoo.tasks.base import Task
from zoo.tasks.dialect import Dialect, Header
from zoo.tasks.labelled_rows import LabelledRows, Labels
from zoo.tasks.tables import Column
from zoo.tasks.text_pairs import PairSplit


def semantic_similarity(
    *,
    data: Source | Mapping[str, Source],
    text: Sequence[Column],
    tokenizer: Any,
    score: Column = "score",
    config: str | None = None,
    splits: str | Sequence[str] = ("train", "validation"),
    scored: str | Sequence[str] | None = None,
    max_length: int = 128,
    quotes: bool | None = None,
    header: Header | Mapping[str, Header] = True,
    extra_fields: bool = False,
    encoding: str | None = None,
) -> Task:
    """Return a task over pairs of texts, each of which is encoded by itself; the prediction is one number.

    The metrics are Spearman's and Pearson's correlation, which do not depend on the scale of the scores.

    Args:
        data: A data set of the Hub, or one file for each split: `{train: "file:train.csv", ...}`.
        text: The two columns with the texts.
        tokenizer: A tokenizer of transformers.
        score: The column with the similarity, a number.
        config: The configuration of a data set of the Hub.
        splits: The splits of a data set of the Hub to offer. Files define their own.
        scored: The splits that are evaluated. Their scores must be public. Default: all but `train`, validation splits
            first, then by name.
        max_length: Longer texts are cut to this number of tokens.
        quotes: Whether double quotes delimit a field of CSV or TSV. Default: in CSV they do, in TSV they are text.
        header: Whether the first line of CSV or TSV names the columns; or their names, for a file without such a line.
            It may be a mapping with one of these for each split. Columns have numbers from 0 as well.
        extra_fields: Whether a row of CSV or TSV may have more fields than columns; they are left out.
        encoding: The encoding of CSV, TSV and JSON. Default: UTF-8, or what a byte order mark says.

    Raises:
        UsageError: An argument is wrong. `Task.load` raises it, with the row, for a text or score that is wrong.
    """
    if isinstance(text, str | int) or len(text) != 2:
        raise UsageError(f"text must name two columns, such as [sentence1, sentence2], not {text!r}").about("text")
    rows = LabelledRows(
        data=data, label=score, label_argument="score", kind="regression", config=config, splits=splits, scored=scored,
        dialect=Dialect(quotes=quotes, header=header, extra_fields=extra_fields, encoding=encoding),
    )  # fmt: skip
    return Task(
        name="semantic_similarity",
        splits=rows.text_splits((text[0], text[1]), partial(_make, tokenizer, max_length)),
        scored=rows.scored_splits,
        metrics=("spearman", "pearson"),
        kind="regression",
        sources=rows.needs,
    )


def _make(tokenizer: Any, max_length: int, texts: list[tuple[str, ...]], labels: Labels) -> PairSplit:
    return PairSplit(texts, labels.values, tokenizer=tokenizer, max_length=max_length, class_notes=labels.notes)
