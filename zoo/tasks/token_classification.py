"""Classification of the words of sentences, such as named entities or parts of speech."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from zoo.errors import UsageError, errors_about
from zoo.fetch.sources import Source
from zoo.tasks.base import Task
from zoo.tasks.column_files import ENDINGS, read_columns
from zoo.tasks.entities import NO_SCHEME, can_have_entities, find_scheme, scheme_name
from zoo.tasks.labelled_rows import LabelledRows, Labels
from zoo.tasks.labels import Classes, shown
from zoo.tasks.tables import Table, is_unicode
from zoo.tasks.tagged_words import TaggedWords
from zoo.tasks.word_tags import WordTags, entity_types

OF_ENTITIES = ("entity_f1", "entity_precision", "entity_recall", "token_accuracy")
OF_WORDS = ("token_accuracy", "token_f1")
UNREAD = {"wrong": "such words count as wrong", "left out": "such words are left out of the scores"}
"""The ways to score words that the model does not read -> what a user should know."""


class _TagRows(LabelledRows):
    """Rows with a list of words and a list of tags."""

    def table(self, split: str) -> Table:
        source = self.data[split] if isinstance(self.data, Mapping) else None
        if source is None or not source.name.lower().endswith(ENDINGS):
            return super().table(split)
        with errors_about("data"):
            return read_columns(source.fetch(self.want).path)


def token_classification(
    *,
    data: Source | Mapping[str, Source],
    tokenizer: Any,
    tokens: str = "tokens",
    tags: str = "ner_tags",
    classes: Classes = (),
    scheme: str = "",
    config: str | None = None,
    splits: str | Sequence[str] = ("train", "validation"),
    scored: str | Sequence[str] | None = None,
    max_length: int = 128,
    label_all_subwords: bool = False,
    unread: Literal["wrong", "left out"] = "wrong",
) -> Task:
    """Return a task over sentences whose words have tags.

    Args:
        data: A data set of the Hub, or one file for each split: JSON lines or parquet with lists, or a file with a word
            and its tags on each line (`zoo.tasks.column_files`): `{train: "file:train.conll", ...}`.
        tokenizer: A fast tokenizer of transformers.
        tokens: The column with the words of a sentence, a list.
        tags: The column with the tag of each word, a list. In a file of columns it can be a position, such as "1".
        classes: The tags, in the order of the model's outputs. Default: those that the data set declares; or else the
            tags of the split for training, sorted.
        scheme: How tags form entities: IOB1, IOB2, IOE1, IOE2, IOBES, BILOU; "none" for tags of single words, such as
            parts of speech. Default: the first of IOB2, IOE2, IOBES, BILOU that has the prefixes of the tags.
        config: The configuration of a data set of the Hub.
        splits: The splits of a data set of the Hub to offer. Files define their own.
        scored: The splits that are evaluated. Their tags must be public. Default: all but `train`, validation splits
            first, then by name.
        max_length: Longer rows are cut to this number of tokens.
        label_all_subwords: Train with a label for all tokens of a word, as `run_ner.py` of transformers can. By default
            only the first one has a label. Scores are of the first token either way.
        unread: Whether words that are cut off or have no token count as "wrong", or are "left out" of the scores as in
            `run_ner.py`.

    Raises:
        UsageError: An argument is wrong. `Task.load` raises it, with the row, for words or tags that are wrong.
    """
    rows = _TagRows(data=data, label=tags, label_argument="tags", classes=classes, kind="structured",
                    config=config, splits=splits, scored=scored)  # fmt: skip
    _check(unread, max_length, tokenizer)
    with errors_about("scheme"):
        readout = WordTags(scheme=scheme_name(scheme), width=max_length, leaves_out=unread == "left out")
        if rows.listed:
            find_scheme(scheme, rows.listed)

    def make(words: list[tuple[str, ...]], labels: Labels) -> TaggedWords:
        values = (
            labels.values if not labels.are_hidden else labels.values.expand(-1, max(map(len, words), default=0) + 1)
        )
        with errors_about("tags"):
            _check_lengths(words, labels)
        with errors_about("scheme"):
            found = find_scheme(scheme, labels.classes)
        return TaggedWords(
            words, values, tokenizer=tokenizer, max_length=max_length, classes=labels.classes,
            class_notes=labels.notes, label_all_subwords=label_all_subwords,
            tag_notes=(*_scheme_notes(scheme, found, labels.classes), *_misfit_notes(found, labels.classes)),
            unread_note=UNREAD[unread],
        )  # fmt: skip

    return Task(
        name="token_classification",
        splits={split: partial(rows.load, split, partial(_words, tokens), make) for split in rows.names},
        scored=rows.scored_splits,
        metrics=OF_WORDS if readout.scheme == NO_SCHEME else OF_ENTITIES,
        kind="structured",
        hub_type="token-classification",
        label_names=rows.listed,
        sources=rows.needs,
        readout=readout,
    )


def _check(unread: str, max_length: int, tokenizer: Any) -> None:
    if unread not in UNREAD:
        raise UsageError(f'unread must be "wrong" or "left out", not {unread!r}').about("unread")
    if max_length < 1:
        raise UsageError(f"max_length must be positive, not {max_length}").about("max_length")
    special = tokenizer.num_special_tokens_to_add() if hasattr(tokenizer, "num_special_tokens_to_add") else 0
    if max_length <= special:
        problem = f"max_length {max_length} leaves no room for a word: the tokenizer adds {special} special tokens"
        raise UsageError(f"{problem}; set it to at least {special + 1}").about("max_length")


def _words(column: str, table: Table) -> list[tuple[str, ...]]:
    """Return the words of each row. Raises UsageError with the row of a value that is no list of words."""
    with errors_about("tokens"):
        rows = table.column(column)
        for row, words in enumerate(rows):
            if not isinstance(words, list):
                raise UsageError(f"column {column!r}, row {row}: {shown(words)} is not a list of words")
            if wrong := [word for word in words if not isinstance(word, str) or not is_unicode(word)]:
                raise UsageError(f"column {column!r}, row {row}: {shown(wrong[0])} is not a word")
    return [tuple(words) for words in rows]


def _check_lengths(words: Sequence[Sequence[str]], labels: Labels) -> None:
    if labels.are_hidden:
        return
    for row, (of_row, count) in enumerate(zip(words, (labels.values >= 0).sum(1).tolist(), strict=True)):
        if len(of_row) != count:
            raise UsageError(f"row {row} has {len(of_row)} words, but {count} tags")


def _misfit_notes(scheme: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Return that the strict reading finds no entities, if the recipe names a scheme that the tags do not fit."""
    if scheme == NO_SCHEME or not entity_types(classes) or can_have_entities(scheme, classes):
        return ()
    return (
        f"the tags do not fit {scheme}: the strict reading finds no entity; they fit {find_scheme('', classes)}, so"
        f" write scheme: {find_scheme('', classes)}",
    )


def _scheme_notes(wanted: str, found: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Return how tags form entities, if the recipe does not say it."""
    if found == NO_SCHEME:
        return ()
    types = entity_types(classes)
    if not types:
        return ("the tags have no entities: all of them are O",) if classes else ()
    chosen = "" if wanted else f"; the tags fit {found}, which the strict reading uses"
    return (f"entities of the types {', '.join(types)}{chosen}",)
