"""Rows of a split that a recipe chooses, as it writes them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.project import TINY, Write
from tests.zoo.recipes.test_check_claims import problems
from zoo.errors import RecipeError, SourceError, UsageError
from zoo.recipes.build import Builder
from zoo.recipes.check import check_recipe
from zoo.recipes.claim import Claim
from zoo.recipes.reader import UnreadableRecipeError
from zoo.recipes.row_subset import RowSubset, positions
from zoo.recipes.schema import load_recipe
from zoo.recipes.values import InvalidValuesError

ROWS = "rows: {test: %s}\nstages:"


@given(st.sets(st.integers(0, 60), min_size=1), st.randoms())
def test_rows_are_the_same_text_however_they_are_written(rows: set[int], random: object) -> None:
    shuffled = sorted(rows, key=lambda row: hash((row, str(random))))
    subset = RowSubset.parse([f"{row}" for row in shuffled])
    assert (positions(subset, None, 61), subset.size) == (sorted(rows), len(rows))
    assert RowSubset.parse(str(subset)) == subset == RowSubset.parse(subset.split(", "))


@pytest.mark.parametrize(
    ("written", "text"),
    [("0-999", "0-999"), (7, "7"), (["10-19", "0 - 9", 30], "0-19, 30"), ("file:a.txt", "file:a.txt")],
)
def test_ranges_without_a_gap_are_one_range(written: object, text: str) -> None:
    assert RowSubset.parse(written) == text


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("9-0", "10:15: rows.test: the range '9-0' ends before it begins; write 0-9"),
        ("[0-5, 4-9]", "10:15: rows.test: the row 4 is in two of the ranges; name each row once"),
        ("first", "10:15: rows.test: 'first' names no rows; write a range such as 0-999"),
        ("true", "10:15: rows.test: True names no rows"),
        ("[]", "10:15: rows.test: there are no rows"),
        ("1.5", "10:15: rows.test: 1.5 names no rows"),
    ],
)
def test_wrong_rows_are_reported_with_their_position(written: str, message: str, recipe_file: Write) -> None:
    path = recipe_file(TINY.replace("stages:", ROWS % written))
    with pytest.raises(UnreadableRecipeError) as caught:
        load_recipe(path)
    assert str(caught.value.problems[0]).startswith(f"{path}:{message.replace('10:15', '4:14')}")


def test_rows_of_a_split_that_does_not_exist_are_reported_with_their_position(recipe_file: Write) -> None:
    text = TINY.replace("stages:", "rows: {tset: 0-9}\nstages:")
    assert problems(recipe_file(text)) == [
        "4:1: rows: the task has no split 'tset'; splits: train, test; did you mean test?"
    ]
    held = text.replace("tset", "held").replace(
        "stages:", "holdout: {of: train, share: 0.5, seed: 1, name: held}\nstages:"
    )
    message = "'held' is the hold-out, which is chosen from the rows of 'train': name rows of that split"
    assert problems(recipe_file(held)) == [f"4:1: rows: {message}"]


@pytest.mark.parametrize(
    ("of_recipe", "of_claim", "message"),
    [
        (
            "0-9",
            "",
            "14:19: claims[0]: the claim names no rows of 'test', but the recipe reads only the rows 0-9; write",
        ),
        (
            "0-9",
            "rows: 0-8, ",
            "14:32: claims[0]: the claim names the rows 0-8 of 'test', but the recipe reads only the rows 0",
        ),
        (
            "",
            "rows: 0-8, ",
            "13:32: claims[0]: the claim names the rows 0-8 of 'test', but the recipe reads all rows; write",
        ),
        ("0-9", "rows: [5-9, 0-4], ", ""),
    ],
)
def test_a_claim_about_other_rows_is_reported_before_a_training(
    of_recipe: str, of_claim: str, message: str, recipe_file: Write
) -> None:
    rows = f"rows: {{test: {of_recipe}}}\n" if of_recipe else ""
    claim = "claims:\n  - {of: retrain, split: test, ROWSmetric: accuracy, value: 0.5, source: s}\n"
    found = problems(recipe_file(TINY + rows + claim.replace("ROWS", of_claim)))
    assert [problem.startswith(message) for problem in found] == ([True] if message else []), found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\n\n2\n", ""),
        ("0\n1.0\n", "ids.txt:2: '1.0' is not the number of a row; rows are from 0 to 2"),
        ("0\n3\n", "ids.txt:2: '3' is not the number of a row"),
        ("0\n2\n0\n", "ids.txt:3: the row 0 is in line 1 already"),
        ("\n", "ids.txt: the file has no row numbers; write one a line"),
    ],
)
def test_a_file_of_row_numbers_is_read_in_the_order_of_the_data(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_text(text)
    if not message:
        assert positions(RowSubset("file:ids.txt"), file, 3) == [0, 2]
        return
    with pytest.raises(SourceError) as caught:
        positions(RowSubset("file:ids.txt"), file, 3)
    assert message in str(caught.value)


def test_a_row_that_the_split_does_not_have_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"there is no row 999; the split has 872 rows, from 0 to 871"):
        positions(RowSubset("0-999"), None, 872)


def test_a_claim_states_its_rows_or_their_number() -> None:
    claim = {"of": "weights", "split": "test", "metric": "accuracy", "source": "s", "value": 0.5, "decimals": 1}
    assert Claim(**claim, rows=RowSubset("0-9")).size == 10  # type: ignore[arg-type]
    assert Claim(**claim, rows=RowSubset("file:ids.txt")).size is None  # type: ignore[arg-type]
    with pytest.raises(InvalidValuesError, match="the rows 0-9 are 10, but n is 11: leave n out"):
        Claim(**claim, rows=RowSubset("0-9"), n=11)  # type: ignore[arg-type]


def test_a_published_recipe_names_no_file_of_this_machine(recipe_file: Write) -> None:
    recipe = load_recipe(recipe_file(TINY + "rows: {test: 'file:/etc/passwd'}\n"))
    builder = Builder().at(f"hub:someone/entry@{'0' * 40}", None)
    with pytest.raises(RecipeError, match="file:/etc/passwd is a file of this machine; a published recipe may name"):
        check_recipe(recipe, builder)
