"""An imported recipe is written so that a recipe reads the same values, in lines that a person can read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.importers.outcome import ImportedRecipe
from zoo.importers.recipe_text import LINE, text_of
from zoo.recipes.reader import _parse
from zoo.recipes.schema import Recipe
from zoo.recipes.values import Call

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20)
    | st.sampled_from(["yes", "1e-4", "0x10", "null", "~", "a: b", "-1", "*.bias", "layer1.-1:input", "#1", "", "on ",
                       "https://example.com/a.zip#b.pt"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcde_", min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def made(task: dict[str, Any], **notes: Any) -> ImportedRecipe:
    recipe = {"name": "made", "task": {"use": "digits", **task}, "model": "resnet18"}
    return ImportedRecipe(tool="torchdistill", source="c.yaml", recipe=recipe, **notes)


def plain(value: Any) -> Any:
    if isinstance(value, Call):
        return {"use": value.use, **{key: plain(item) for key, item in value.args.items()}}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=25)
@given(st.dictionaries(st.text("abcde_", min_size=1, max_size=8), VALUES, max_size=5))
def test_every_value_is_read_back(task: dict[str, Any]) -> None:
    imported = made(task)
    recipe = _parse(text_of(imported), "made.yaml", Recipe)
    assert plain(recipe.task) == imported.recipe["task"]


def test_notes_are_comments_and_long_values_take_several_lines(tmp_path: Path) -> None:
    long = {f"argument_{number}": list(range(10)) for number in range(8)}
    text = text_of(made(long, assumptions=("one " * 60,), differences=("two",)))
    assert text.startswith("# Imported from c.yaml, a configuration of torchdistill.\n# Assumed:\n# - one one")
    assert "# Differences from torchdistill:\n# - two\nname: made\n" in text
    assert all(len(line) <= LINE for line in text.splitlines())
    assert "  argument_3: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n" in text


def test_a_file_name_with_a_line_end_stays_in_the_comment() -> None:
    text = text_of(replace(made({}), source="c.yaml\nweights: file:other.pt"))
    assert text.splitlines()[:2] == [
        "# Imported from c.yaml weights: file:other.pt, a configuration of torchdistill.", "name: made"
    ]  # fmt: skip
