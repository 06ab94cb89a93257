"""The index of split weights is untrusted: whatever contradicts the parts is an error with its name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from zoo.errors import IntegrityError, ZooError
from zoo.fetch.repository_files import INDEX
from zoo.fetch.sources import Sources
from zoo.fetch.weights_file import read_fetched

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
Change = Callable[[Path, dict[str, Any]], None]


def listed(**changed: Any) -> Change:
    """Change the map of the index."""
    return lambda folder, index: index["weight_map"].update(changed)


def replaced(value: Any) -> Change:
    return lambda folder, index: index.update(weight_map=value)


def added(part: str, name: str) -> Change:
    """Add a tensor to a part."""

    def change(folder: Path, index: dict[str, Any]) -> None:
        own = {"a": "weight", "b": "bias"}["a" if part == ONE else "b"]
        save_file({own: torch.ones(1), name: torch.zeros(1)}, folder / part)

    return change


def damaged(folder: Path, index: dict[str, Any]) -> None:
    (folder / TWO).write_bytes(b"\xff" * 40)


HOSTILE: dict[str, tuple[Change, str]] = {
    "a part outside": (listed(bias="../x.safetensors"), r"weight_map names '\.\./x\.safetensors'"),
    "an absolute part": (listed(bias="/etc/passwd"), "weight_map names '/etc/passwd'"),
    "another file": (listed(bias="config.json"), "weight_map names 'config.json'"),
    "a missing part": (listed(bias="model-00003-of-00002.safetensors"), "weight_map names 'model-00003"),
    "no text": (listed(bias=["x"]), r"""weight_map names "\['x'\]"""),
    "no map": (replaced([ONE]), "weight_map is not a mapping"),
    "an empty map": (replaced({}), "weight_map is not a mapping"),
    "the wrong part": (listed(bias=ONE), f"weight_map says that 'bias' is in {ONE}, but no part has it"),
    "parts exchanged": (listed(bias=ONE, weight=TWO), f"'weight' is in {TWO}, but it is in {ONE}"),
    "a tensor that nobody has": (listed(other=ONE), "weight_map says that 'other' is in"),
    "a tensor twice": (added(TWO, "weight"), f"the tensor 'weight' is in {ONE} and in {TWO}; keep one"),
    "a hidden tensor": (added(ONE, "hidden"), f"weight_map lacks 'hidden', which is in {ONE}"),
    "a damaged part": (damaged, f"{TWO}: these weights cannot be read"),
}  # fmt: skip


@pytest.fixture
def published(tmp_path: Path) -> Path:
    save_file({"weight": torch.ones(1)}, tmp_path / ONE)
    save_file({"bias": torch.ones(1)}, tmp_path / TWO)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"weight": ONE, "bias": TWO}}))
    return tmp_path


def test_all_parts_are_read_and_hashed(published: Path) -> None:
    fetched = Sources().fetch(f"file:{published}")
    assert sorted(fetched.names) == [ONE, TWO, INDEX]
    assert read_fetched(fetched).keys() == {"weight", "bias"}
    before = fetched.sha256
    save_file({"bias": torch.zeros(1)}, published / TWO)
    assert Sources().fetch(f"file:{published}").sha256 != before


@pytest.mark.parametrize("name", HOSTILE)
def test_an_index_that_contradicts_its_parts_is_refused_by_name(name: str, published: Path) -> None:
    change, message = HOSTILE[name]
    index = json.loads((published / INDEX).read_text())
    change(published, index)
    (published / INDEX).write_text(json.dumps(index))
    with pytest.raises(IntegrityError, match=message):
        read_fetched(Sources().fetch(f"file:{published}"))


@pytest.mark.parametrize("lost", [ONE, INDEX])
def test_a_part_or_an_index_that_is_lost_is_named(lost: str, published: Path) -> None:
    (published / lost).unlink()
    with pytest.raises(ZooError, match=lost):
        read_fetched(Sources().fetch(f"file:{published}"))
