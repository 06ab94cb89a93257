"""Reading a configuration resolves tags, anchors and merges, and imports and runs nothing."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.torchdistill_configs import dedented
from zoo.errors import RecipeError
from zoo.importers.torchdistill.expanded_size import MAX_ITEMS
from zoo.importers.torchdistill.items import BlockedError, Called, Imported, Indexed, Item
from zoo.importers.torchdistill.read import read_config, read_config_text

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdxyz", min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)  # fmt: skip


def read(text: str) -> Item:
    item, problems = read_config_text(dedented(text), "c.yaml")
    assert problems == []
    return item


def problems_of(text: str) -> list[str]:
    return [str(problem) for problem in read_config_text(dedented(text), "c.yaml")[1]]


@settings(max_examples=25)
@given(PLAIN)
def test_plain_values_are_read_as_torchdistill_reads_them(value: Any) -> None:
    text = yaml.safe_dump({"root": value})
    assert read_config_text(text, "c.yaml")[0].plain == yaml.safe_load(text)


def test_anchors_merges_and_joined_texts_are_resolved() -> None:
    item = read("""
        names: &names {data: &data cifar10, depth: &depth 20}
        merged: {<<: *names, depth: 32}
        path: !join ['./', *data, '-resnet', *depth, '.pt']
        folder: !pathjoin ['~/data', *data]
        home: !expanduser '~/data'
        absolute: !pathjoin ['~/data', '/mnt/', *data]
        """)
    assert item.need("merged").plain == {"data": "cifar10", "depth": 32}
    assert item.need("path").text == "./cifar10-resnet20.pt"
    assert item.need("folder").text == "~/data/cifar10"
    assert item.need("home").text == "~/data"
    assert item.need("absolute").text == "/mnt/cifar10"


def test_calls_and_imports_stay_names() -> None:
    item = read("""
        weights: &weights !import_get {key: torchvision.models.ResNet18_Weights}
        chosen: !getattr [*weights, IMAGENET1K_V1]
        data: &data !import_call {key: torchvision.datasets.CIFAR10, init: {kwargs: {train: True}}}
        first: !access_by_index_or_key {data: *data, index_or_key: 0}
        split: !import_call {package: torchvision.datasets, key: CIFAR100, init: {args: [a]}}
        """)
    assert item.need("chosen").value == Imported(name="torchvision.models.ResNet18_Weights.IMAGENET1K_V1")
    data, first, split = (item.need(name).value for name in ("data", "first", "split"))
    assert isinstance(data, Called) and data.kwargs["train"].flag
    assert isinstance(first, Indexed) and first.key == 0
    assert isinstance(split, Called) and split.name == "torchvision.datasets.CIFAR100" and split.args[0].text == "a"


def test_a_mapping_key_can_have_a_tag() -> None:
    item = read("""
        data: &data go_emotions
        ids:
          &train !join [*data, /train]: train
        loader: *train
        """)
    assert item.need("ids").plain == {"go_emotions/train": "train"}
    assert item.need("loader").text == "go_emotions/train"


def test_old_keys_get_the_names_of_version_1_unless_the_file_is_wanted_as_written(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("optimizer: {type: SGD, params: {lr: 0.1}, linear_params: {bias: True}}\n")
    assert read_config(path)[0].plain == {
        "optimizer": {"key": "SGD", "kwargs": {"lr": 0.1}, "linear_kwargs": {"bias": True}}
    }
    assert read_config(path, renames=False)[0].need("optimizer").need("type").text == "SGD"


@pytest.mark.parametrize(
    "line",
    [
        "a: !!python/object/apply:os.system ['touch HERE']",
        "a: !!python/object/new:subprocess.Popen [['touch', 'HERE']]",
        "a: !!python/name:os.system",
        "a: !import_call {key: os.system, init: {args: ['touch HERE']}}",
        "a: !import_call {package: os, key: system, init: {args: ['touch HERE']}}",
        "a: !import_call_method {package: os, class_name: path, method_name: exists}",
        "a: !import_get {key: builtins.eval}",
        "a: !call_method {obj: text, method_name: format}",
        "a: !setattr [a, b, c]",
        "a: !unknown {}",
        "? !import_call {key: os.system, init: {args: ['touch HERE']}}\n: value",
    ],
)
def test_hostile_tags_are_problems_and_run_nothing(line: str, tmp_path: Path) -> None:
    marker = tmp_path / "made"
    modules = set(sys.modules)
    found = problems_of(line.replace("HERE", str(marker)))
    assert found and all(problem.startswith("c.yaml:1:") for problem in found)
    assert not marker.exists()
    assert set(sys.modules) == modules


def test_a_file_that_expands_without_end_is_refused() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    with pytest.raises(RecipeError, match=f"more than {MAX_ITEMS:,} values"):
        read_config_text(laughs, "c.yaml")
    joined = "a0: &a0 0123456789\n" + "".join(
        f"a{n}: &a{n} !join [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 5)
    )
    assert "a text of more than 10,000 characters" in problems_of(joined)[0]


def test_an_alias_inside_its_own_anchor_and_deep_nesting_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"c\.yaml:1:4: an alias inside its own anchor has no end"):
        read_config_text("a: &a [*a]\n", "c.yaml")
    with pytest.raises(RecipeError, match="nested deeper than 64 levels"):
        read_config_text("[" * 100 + "]" * 100, "c.yaml")
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3000))
    with pytest.raises(RecipeError, match="nested deeper than 128 levels by its aliases"):
        read_config_text(chain, "c.yaml")


def test_a_value_of_another_kind_is_reported_with_its_position() -> None:
    item = read("""
        rate: 1e-4
        count: 2.5
        flag: maybe
        """)
    for name, message in (
        ("rate", "c.yaml:1:7: expected a number, found '1e-4'; YAML 1.1 reads a number like 1e-4 as text"),
        ("count", "c.yaml:2:8: expected a whole number, found 2.5"),
    ):  # fmt: skip
        with pytest.raises(BlockedError) as error:
            _ = item.need(name).whole
        assert str(error.value).startswith(message)
    with pytest.raises(BlockedError, match=r"c\.yaml:3:7: expected true or false"):
        _ = item.need("flag").flag
    with pytest.raises(BlockedError, match=r"c\.yaml:1:1: the key 'momentum' is missing"):
        item.need("momentum")
    with pytest.raises(BlockedError, match=r"unknown key 'coun' of x; did you mean count\?"):
        read("coun: 1").check_keys(("count",), "x")
