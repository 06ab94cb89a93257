"""`zoo init` tells a header from a row."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zoo.first_recipe.columns import LABELS, TEXTS
from zoo.first_recipe.found import FoundData
from zoo.first_recipe.look import look_at

Row = tuple[str, ...]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the tables of all examples."""
    return tmp_path_factory.mktemp("tables")


def look(folder: Path, rows: Sequence[Row], label: str | None = None) -> FoundData:
    """Write rows to a file, and look at it."""
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return look_at(str(folder / "rows.csv"), folder, pytest.fail, text=(), label=label, encoding=None)


GOOD_OR_BAD = [(f"row {n}", "good" if n % 2 else "bad") for n in range(20)]
WORDS = [(f"word{n}", str(n % 5)) for n in range(20)]
SCORES = [(f"row {n}", f"{n / 7:.3f}") for n in range(30)]
QUESTIONS = [(f"row {n}", ("question", "score", "title", "message", "y")[n % 5]) for n in range(20)]
FIRST_LINES: dict[str, tuple[Row, list[Row], bool]] = {
    "usual names above texts that hold one of them": (("text", "verdict"), [("text", "good"), *GOOD_OR_BAD], True),
    "a word that one of the texts is": (("film", "verdict"), [("film", "good"), *GOOD_OR_BAD], True),
    "a year above words": (("country", "2019"), GOOD_OR_BAD, True),
    "column numbers of pandas": (("0", "1"), [(text, str(n % 2)) for n, (text, _) in enumerate(GOOD_OR_BAD)], True),
    "a name above numbers": (("id", "word", "1"), [(str(n), *row) for n, row in enumerate(WORDS)], True),
    "a usual name above texts, and a class number": (("text", "1"), [(f"a {word}", n) for word, n in WORDS], True),
    "a class above texts of several words": (("film", "good"), GOOD_OR_BAD, True),
    "texts and classes": (("a fine film", "good"), GOOD_OR_BAD, False),
    "one-word texts and class numbers": (("great", "3"), WORDS, False),
    "a number that occurs once": (("great", "7"), WORDS, False),
    "a usual name as a text of one word": (("title", "3"), WORDS, False),
    "a text and a score": (("great", "0.25"), SCORES, False),
    "two equal cells": (("film", "film"), [(f"film {n}", f"film {n % 2}") for n in range(20)], False),
    "four rows": (("a film", "y"), [("b film", "n"), ("c film", "y"), ("d film", "n")], False),
    **{f"a class called {name}": (("a film", name), QUESTIONS, False) for _, name in QUESTIONS[:5]},
}


@pytest.mark.parametrize("case", FIRST_LINES)
def test_a_header_is_told_from_a_row(case: str, folder: Path) -> None:
    first, rows, is_header = FIRST_LINES[case]
    found = look(folder, [first, *rows], "1" if rows is SCORES else None)
    assert found.rows == {"train": len(rows) + (not is_header)}
    assert ("header" not in found.arguments) == is_header


words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=9)
names_of_texts, names_of_labels = words | st.sampled_from(TEXTS), words | st.sampled_from(LABELS)
classes_of_tables = st.one_of(
    st.lists(names_of_labels | names_of_texts, min_size=2, max_size=5, unique=True),
    st.lists(st.integers(0, 99).map(str), min_size=2, max_size=5, unique=True),
    st.lists(st.decimals(0, 9, places=1).map(str), min_size=2, max_size=5, unique=True),
)


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Texts, of one word or all of several, with classes that repeat."""
    count, several, classes = draw(st.integers(10, 30)), draw(st.booleans()), draw(classes_of_tables)
    texts = [draw(names_of_texts), *(f"word{number}" for number in range(1, count))]
    return [(f"so {text}" if several else text, classes[n % len(classes)]) for n, text in enumerate(texts)]


def check_rows(found: FoundData, rows: Sequence[Row]) -> None:
    """Check that all rows were found, and no others."""
    assert found.texts == tuple(text for text, _ in rows)
    assert found.rows == {"train": len(rows)}
    assert {*found.classes} == {label for _, label in rows}


@given(tables())
def test_a_table_without_a_header_keeps_all_rows(folder: Path, rows: list[Row]) -> None:
    found = look(folder, rows)
    assert found.arguments["header"] is False
    check_rows(found, rows)


@given(tables(), names_of_texts, names_of_labels)
def test_a_table_with_a_header_keeps_all_rows(folder: Path, rows: list[Row], text: str, label: str) -> None:
    assume(text != label and label not in {label for _, label in rows})  # such lines may be either
    found = look(folder, [(text, label), *rows])
    assert "header" not in found.arguments
    check_rows(found, rows)
