"""GLUE data with other classes, splits, cards or labels than the task expects."""

import io
import json
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.device import device
from tests.helpers.glue_hub import WriteGlueRecipe, glue_data, parquet, results
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo
from zoo.errors import IntegrityError
from zoo.tasks.glue import GLUE, _check_classes

DATA = "hub:datasets/nyu-mll/glue"
IN_ORDER, SWAPPED = b'"0": "not_equivalent", "1": "equivalent"', b'"0": "equivalent", "1": "not_equivalent"'
OTHER_DATA: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "classes in another order": (
        lambda card: card.replace(IN_ORDER, SWAPPED), "expected not_equivalent, equivalent",
    ),
    "classes in another order and in capitals": (
        lambda card: card.replace(IN_ORDER, SWAPPED.replace(b"equivalent", b"Equivalent")),
        "has the classes Equivalent, not_Equivalent, expected not_equivalent, equivalent",
    ),
    "no such split": (
        lambda card: card.replace(b'"mrpc/train-*"', b'"mrpc/nothing-*"'), "the data have no split 'train'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), OTHER_DATA.values(), ids=OTHER_DATA)
def test_data_with_other_classes_or_splits_are_refused(
    change: Callable[[bytes], bytes], message: str, glue: Zoo, glue_hub: LocalHub, glue_recipe: WriteGlueRecipe
) -> None:
    files = glue_data()
    changed = change(files["README.md"])
    assert changed != files["README.md"]
    glue_hub.add("datasets", "someone/glue", {**files, "README.md": changed})
    completed = glue("train", glue_recipe("other", (DATA, "hub:datasets/someone/glue")), "--device", device())
    assert completed.code in (2, 5)
    assert message in completed.err


WRONG_CARDS: dict[str, dict[str, Any]] = {
    "no name": {"configs": [{"data_files": []}]},
    "no list": {"configs": "mrpc"},
    "no split": {"configs": [{"config_name": "mrpc", "data_files": [{"path": "mrpc/*"}]}]},
    "odd files": {"configs": [{"config_name": "mrpc", "data_files": 7}]},
    "odd info": {"dataset_info": [{"config_name": "mrpc", "features": 7}]},
}


def test_a_damaged_card_is_an_error_of_the_entries_that_read_it(
    glue: Zoo, glue_hub: LocalHub, glue_recipe: WriteGlueRecipe
) -> None:
    recipes = []
    for number, card in enumerate(WRONG_CARDS.values()):
        name = f"hub:datasets/someone/card-{number}"
        readme = f"---\n{json.dumps(card)}\n---\n".encode()
        glue_hub.add("datasets", name.removeprefix("hub:datasets/"), {**glue_data(), "README.md": readme})
        changes = ((DATA, name), ("name: bert-base-uncased-mrpc", f"name: card-{number}"))
        recipes.append(glue_recipe(f"card-{number}", *changes))
    completed = glue("verify", *recipes, "bert-base-uncased-rte", "--json", "--device", device())
    entries = results(completed)
    assert entries.pop("bert-base-uncased-rte")["error"] is None
    for card, entry in zip(WRONG_CARDS, entries.values(), strict=True):
        assert "README.md: cannot be read as data" in str(entry["error"]), (card, completed.err)


def test_a_row_without_a_label_is_refused(glue: Zoo, glue_hub: LocalHub, glue_recipe: WriteGlueRecipe) -> None:
    files, name = glue_data(), "mrpc/validation-00000-of-00001.parquet"
    table = pq.read_table(io.BytesIO(files[name])).to_pydict()
    broken = parquet({**table, "label": [None, *table["label"][1:]]}, labels=pa.int64())
    glue_hub.add("datasets", "someone/null", {**files, name: broken})
    completed = glue("reproduce", glue_recipe("null", (DATA, "hub:datasets/someone/null")), "--device", device())
    assert completed.code == 5
    assert "mrpc, validation: row 0 has the label None, which is not a number" in completed.err


@pytest.mark.parametrize(
    ("declared", "notes"),
    [
        (("negative", "positive"), ()),
        (("Negative", "POSITIVE"), ()),
        (("neg", "pos"), ("class names of the data set are taken for synonyms of GLUE's: .*",)),
        (("0", "1"), ("the data set and GLUE are taken to have their classes in the same order, .*",)),
        (("positive", "negative"), None),
        (("pos", "neg"), None),
        (("negative", "other"), None),
        (("negative",), None),
        ((), None),
    ],
)
def test_names_of_glues_classes_are_compared_as_everywhere(
    declared: tuple[str, ...], notes: tuple[str, ...] | None
) -> None:
    if notes is None:
        with pytest.raises(IntegrityError, match=r"x has the classes .*, expected negative, positive"):
            _check_classes(declared, GLUE["sst2"].classes, "x")
        return
    found = _check_classes(declared, GLUE["sst2"].classes, "x")
    assert len(found) == len(notes)
    assert all(re.fullmatch(pattern, note) for pattern, note in zip(notes, found, strict=True))
