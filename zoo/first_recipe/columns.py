"""Guess the columns of a table: the texts and the labels."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import UsageError, did_you_mean
from zoo.tasks.labels import RowError, to_numbers, to_text
from zoo.text_tables import counted, first_of

LABELS = (
    "label", "labels", "class", "category", "target", "sentiment", "intent", "topic", "verdict", "rating", "stars",
    "score", "y",
)  # fmt: skip
TEXTS = ("text", "sentence", "review", "content", "body", "comment", "message", "tweet", "question", "title")
PAIRS = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("question", "sentence"),
    ("text_a", "text_b"), ("text1", "text2"),
)  # fmt: skip
"""Names of columns, the most likely first."""
MOST_NUMBERS = 20
"""Labels with more distinct numbers than this are numbers to predict, if they have decimals."""
Columns = Mapping[str, Sequence[Any]]


def choose_text(columns: Columns, label: str | None, chosen: Sequence[str]) -> tuple[str, ...]:
    """Return the column with the text, or two for pairs. Raise UsageError if there is none, or not the chosen one."""
    if len(chosen) > 2 or len({*chosen}) < len(chosen):
        raise UsageError(f"--text {' --text '.join(chosen)}: name one column, or two different ones for pairs")
    if chosen:
        return tuple(_known(columns, name, "--text") for name in chosen)
    lower = {name.lower(): name for name in columns if name != label}
    pair = next((pair for pair in PAIRS if set(pair) <= set(lower)), ())
    if pair:
        return tuple(lower[name] for name in pair)
    if named := next((lower[name] for name in TEXTS if name in lower), None):
        return (named,)
    texts = {name: _mean_length(columns[name]) for name in columns if name != label}
    texts = {name: length for name, length in texts.items() if length}
    if not texts:
        raise UsageError(f"no column holds texts; the columns are {_listed(columns)}; name one with --text")
    return (max(texts, key=texts.__getitem__),)


def choose_label(columns: Columns, chosen: str | None) -> str:
    """Return the column with the label. Raise UsageError if nothing can be it, or if the chosen one does not exist."""
    if chosen is not None:
        return _known(columns, chosen, "--label")
    lower = {name.lower(): name for name in columns}
    if named := next((lower[name] for name in LABELS if name in lower), None):
        return named
    distinct = {name: len({to_text(value) for value in values}) for name, values in columns.items()}
    rows = len(next(iter(columns.values())))
    likely = [name for name, count in distinct.items() if 2 <= count <= max(2, rows // 2)]
    if not likely:
        raise UsageError(f"no column looks like a label; the columns are {_listed(columns)}; name one with --label")
    return min(likely, key=distinct.__getitem__)


def classes_of(name: str, values: Sequence[Any]) -> tuple[str, ...]:
    """Return the classes of a column of labels, sorted; empty if it holds numbers to predict.

    Raises:
        UsageError: All rows have one class, a row has none, or nearly each row has a class of its own.
    """
    texts = [to_text(value) or "" for value in values]
    row = next((row for row, text in enumerate(texts) if not text.strip()), None)
    if row is not None:
        raise UsageError(f"column {name!r}, row {row}: the label is empty; fill it in or delete the row")
    distinct = sorted(set(texts))
    has_numbers = are_numbers(distinct)
    if has_numbers and len(distinct) > MOST_NUMBERS and any("." in text for text in distinct):
        return ()
    if len(distinct) == 1:
        raise UsageError(f"column {name!r}: all rows have the label {distinct[0]!r}; a classifier needs two classes")
    if len(distinct) > max(2, len(texts) // 2):
        raise UsageError(
            f"column {name!r} has {len(distinct):,} different values in {counted(len(texts), 'row')}, so it does not"
            " look like a label; name another column with --label"
        )
    return tuple(sorted(distinct, key=float) if has_numbers else distinct)


def are_numbers(values: Sequence[Any]) -> bool:
    """Return whether all values are numbers, as a regression reads them."""
    try:
        to_numbers(values)
    except RowError:
        return False
    return True


def _known(columns: Columns, name: str, option: str) -> str:
    if name not in columns:
        hint = did_you_mean(name, list(columns)) or f"; they are {_listed(columns)}"
        raise UsageError(f"{option} {name}: the data have no such column{hint}")
    return name


def _mean_length(values: Sequence[Any]) -> float:
    """Return the mean length of texts; 0 if a value is no text."""
    if not all(isinstance(value, str) for value in values):
        return 0.0
    return sum(map(len, values)) / max(1, len(values))


def _listed(columns: Columns) -> str:
    return first_of(list(columns), 10)
