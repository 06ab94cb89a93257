"""Reading recipes: every problem with its position, nothing imported, a digest that ignores comments and order."""

import json
import math
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.project import ROOT, TINY, Write
from zoo.errors import RecipeError
from zoo.recipes.build import Builder
from zoo.recipes.check import check_recipe
from zoo.recipes.schema import load_recipe
from zoo.recipes.values import Call, to_data

TWO_FAULTS = (("epochs: 1", "epoch: 1"), ("loss: CrossEntropy", "loss: CrossEntrpy, wait: 2"))

BAD = {
    "unknown key": (
        ("clip_norm: 1.0", "clip_nrom: 1.0"),
        ":9:5: unknown key 'clip_nrom' in stages[0]; did you mean clip_norm?",
    ),
    "wrong type": (("epochs: 1", "epochs: many"), ":5:13: stages[0].epochs must be a whole number, not 'many'"),
    "fraction for a whole number": (("epochs: 1", "epochs: 1.5"), "stages[0].epochs must be a whole number, not '1.5'"),
    "missing key": (("    batch_size: 64\n", ""), ":5:5: stages[0] lacks the key 'batch_size'"),
    "repeated key": (("clip_norm: 1.0", "epochs: 2"), ":9:5: the key 'epochs' is repeated"),
    "no use": (("{use: SGD, lr", "{name: SGD, lr"), ":7:16: stages[0].optimizer lacks the key 'use'"),
    "yaml 1.1 truth": (("momentum: 0.9", "nesterov: yes"), "yes is neither true nor false in YAML 1.2"),
    "infinite": (("lr: 0.1", "lr: 1e999"), ":7:31: the number is too large"),
    "more than 64 bits": (("lr: 0.1", f"lr: {2**63}"), ":7:31: the number is too large"),
    "no character": (("name: tiny", 'name: "\\UFFFFFFFF"'), "an escape sequence that stands for no character"),
    "half a character": (("name: tiny", 'name: "\\ud800"'), "is not allowed in a recipe, not even as an escape"),
    "an escape of terminals": (("name: tiny", 'name: "\\e[2J"'), ":1:7: the character '\\x1b' is not allowed"),
    "NUL": (("task: digits", 'task: {use: digits, x: "file:\\0"}'), "the character '\\x00' is not allowed"),
    "endless": (("lr: 0.1", "lr: " + "9" * 5000), ":7:31: the number is too large"),
    "tag": (("name: tiny", "name: !!python/name:os.system tiny"), "the tag"),
    "anchor": (("name: tiny", "name: &a tiny"), "anchors and aliases are not allowed"),
    "zero epochs": (("epochs: 1", "epochs: 0"), "epochs and batch_size must be at least 1"),
    "reserved term": (("ce: {", "total: {"), "no term can be named 'total'"),
    "broken yaml": (("criterion:", "criterion: ["), "expected"),
}
UNBUILDABLE = {
    "misspelled loss": (
        ("CrossEntropy", "CrosEntropy"),
        ":11:18: harness.losses has no 'CrosEntropy'; did you mean CrossEntropy",
    ),
    "misspelled model": (("cifar_resnet", "cifar_resnt"), "zoo.models has no 'cifar_resnt'; did you mean cifar_resnet"),
    "unknown argument": (("momentum", "momentun"), ":7:36: SGD takes no argument 'momentun'; did you mean momentum?"),
    "lacking argument": (("depth: 8, ", ""), "cifar_resnet lacks the argument 'depth'"),
    "outside the allow-list": (
        ("use: SGD", "use: os.system"),
        "'os.system' is in Python's standard library, which no recipe may name",
    ),
    "through a module": (("use: SGD", "use: torch.serialization.os.system"), "cannot be named in one"),
    "through another module": (("use: SGD", "use: torch.nn.functional.torch"), "cannot be used as optimizer"),
    "runs code": (("use: SGD", "use: torch.hub.load"), "can run code from outside a recipe"),
    "runs code, by another name": (("use: SGD", "use: torch.utils.model_zoo.load_url"), "cannot be used as optimizer"),
    "private": (("use: SGD", "use: torch.storage._load_from_bytes"), "is private to 'torch'"),
    "loads a script": (("use: SGD", "use: evaluate.load"), "can run code from outside a recipe"),
    "needs a teacher": (("CrossEntropy", "KL"), ":11:18: KL compares with a teacher, and the stage has none"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_recipe_is_refused_with_line_and_column(name: str, recipe_file: Write) -> None:
    change, message = BAD[name]
    path = recipe_file(TINY, change)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")


@pytest.mark.parametrize("name", UNBUILDABLE)
def test_a_name_or_argument_that_does_not_fit_is_refused_with_line_and_column(name: str, recipe_file: Write) -> None:
    change, message = UNBUILDABLE[name]
    path = recipe_file(TINY, change)
    with pytest.raises(RecipeError) as caught:
        check_recipe(load_recipe(path), Builder())
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: \xff\n", ":1:7: not UTF-8 (byte 0xff)"),
        (b"", ":1:1: the file is empty"),
        (b"# only a comment\n", "the file is empty"),
        (b"- a\n- b\n", ":1:1: the recipe must be a mapping of keys, not a list"),
        (b"just text\n", "the recipe must be a mapping of keys, not 'just text'"),
        (b"[" * 1_000_000, "1,000,000 bytes; a recipe has at most"),
        (b"[" * 200_000, "nested deeper than 32 levels"),
        (b"a: \x07\n", "is not allowed in YAML"),
        (b"a: 1\n---\nb: 2\n", "but found another document"),
        (b"a: [1\n", ":2:1: expected ',' or ']', but got the end of the file"),
        (b"a: 1\n\tb: 2\n", ":2:1: a tab; YAML indents with spaces only"),
        (b"a: b: c\n", ":1:5: a second ':' in one line"),
        (b'a: "b\n', ":2:1: the file ends inside quotes"),
        (b"a: [}\n", "expected a value, but found '}'"),
    ],
)
def test_a_file_that_is_not_a_recipe_is_one_line_of_error(content: bytes, message: str, recipe_file: Write) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file(content))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_all_problems_of_a_file_are_reported_in_the_order_of_lines(recipe_file: Write) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file(TINY, *TWO_FAULTS))
    lines = str(caught.value).splitlines()
    assert [line.split(": ", 1)[1] for line in lines] == [
        "unknown key 'epoch' in stages[0]; did you mean epochs?",
        "stages[0] lacks the key 'epochs'",
        "unknown key 'wait' in stages[0].criterion.ce; did you mean weight?",
    ]


def test_all_wrong_names_and_arguments_are_reported(recipe_file: Write) -> None:
    path = recipe_file(TINY, ("lr: 0.1", "rate: 0.1"), ("CrossEntropy", "CrosEntropy"), ("use: linear", "use: linea"))
    with pytest.raises(RecipeError) as caught:
        check_recipe(load_recipe(path), Builder())
    assert [problem.mark.line for problem in caught.value.problems] == [7, 8, 11]


def test_scalars_are_read_as_yaml_1_2(recipe_file: Write) -> None:
    text = TINY.replace("lr: 0.1", "lr: 1e-4, a: 010, b: '1', c: null, d: .5, e: -3, f: true, g: 1.0e+3, h: 1_000")
    optimizer = load_recipe(recipe_file(text)).stages[0].optimizer
    assert optimizer.args == {
        "lr": 1e-4, "a": 10, "b": "1", "c": None, "d": 0.5, "e": -3, "f": True, "g": 1000.0, "h": "1_000",
        "momentum": 0.9,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("True", True), ("TRUE", True), ("False", False), ("FALSE", False), ("Null", None), ("NULL", None), ("~", None),
        ("0o17", 15), ("0x1F", 31), (".inf", math.inf), ("-.Inf", -math.inf), ("+.INF", math.inf), ("tRUE", "tRUE"),
        ("0o8", "0o8"), ("0xG", "0xG"), ("nULL", "nULL"), ("inf", "inf"), ("nan", "nan"), ("'True'", "True"),
        ("!!str 1", "1"), ("!!str true", "true"), ("! 1", "1"), ("017", 17), ("1_0.5", "1_0.5"), ("-0x1", "-0x1"),
    ],
)  # fmt: skip
def test_scalars_of_the_core_schema_have_its_types(text: str, value: object, recipe_file: Write) -> None:
    optimizer = load_recipe(recipe_file(TINY, ("lr: 0.1", f"lr: {text}"))).stages[0].optimizer
    assert optimizer.args["lr"] == value
    assert type(optimizer.args["lr"]) is type(value)


def test_a_number_that_is_not_finite_is_text_in_data(recipe_file: Write) -> None:
    recipe = load_recipe(recipe_file(TINY, ("lr: 0.1", "lr: .nan")))
    assert math.isnan(recipe.stages[0].optimizer.args["lr"])
    assert json.loads(json.dumps(recipe.data(), allow_nan=False))["stages"][0]["optimizer"]["lr"] == "nan"
    with pytest.raises(RecipeError, match=r"clip_norm must be a finite number, not '\.inf'"):
        load_recipe(recipe_file(TINY, ("clip_norm: 1.0", "clip_norm: .inf")))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("momentum: 0.9", "nesterov: 'False'", "SGD: nesterov must be true or false, not 'False'"),
        ("momentum: 0.9", "nesterov: 0", "SGD: nesterov must be true or false, not 0"),
        ("lr: 0.1", "lr: true", "SGD: lr must be a number, not True"),
        (
            "use: SGD, lr: 0.1, momentum: 0.9",
            "use: Adam, betas: 0.9",
            "Adam: betas must be a list of 2 values, not 0.9",
        ),
        ("use: SGD, lr: 0.1, momentum: 0.9", "use: Adam, betas: [0.9]", "betas must be a list of 2 values, not [0.9]"),
        ("depth: 8", "depth: 8.0", "cifar_resnet: depth must be a whole number, not 8.0"),
        ("depth: 8", "depth: true", "cifar_resnet: depth must be a whole number, not True"),
        ("CrossEntropy", "{use: torch.nn.CrossEntropyLoss, weight: 2}", "CrossEntropyLoss: weight must be"),
        ("CrossEntropy", "{use: torch.nn.CrossEntropyLoss, reduction: 1}", "reduction must be text, not 1"),
        (
            "task: digits",
            "task: {use: image_folder, data: 'file:x', classes: '10'}",
            "classes must be a list, such as [10]",
        ),
        ("task: digits", "task: {use: image_folder, mean: 0}", "mean must be a list of numbers, not 0"),
        (
            "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}",
            "{use: transformers.BertForSequenceClassification, config: {use: transformers.BertConfig, hidden_size: x}}",
            "transformers.BertConfig: hidden_size must be a whole number, not 'x'",
        ),
    ],
)
def test_an_argument_of_another_type_than_its_annotation_is_refused(
    before: str, after: str, message: str, recipe_file: Write
) -> None:
    with pytest.raises(RecipeError) as caught:
        check_recipe(load_recipe(recipe_file(TINY, (before, after))), Builder())
    assert message in str(caught.value)


@pytest.mark.process
def test_reading_a_recipe_imports_and_runs_nothing(recipe_file: Write) -> None:
    path = recipe_file(TINY, ("use: SGD", "use: antigravity.fly"))
    code = "import sys; from zoo.recipes.schema import load_recipe; "
    code += f"load_recipe(__import__('pathlib').Path({str(path)!r}))"
    code += "; assert not {'antigravity', 'torch', 'numpy', 'harness'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_recipe_may_name_a_trusted_package(recipe_file: Write) -> None:
    recipe = load_recipe(recipe_file(TINY, ("task: digits", "task: yaml.YAMLObject")))
    with pytest.raises(RecipeError, match="--trust yaml"):
        check_recipe(recipe, Builder())
    Builder(frozenset({"yaml"})).target(recipe.task, "task")


def test_an_error_of_a_callable_is_reported_with_the_position_of_its_call(recipe_file: Write) -> None:
    recipe = load_recipe(recipe_file(TINY, ("depth: 8", "depth: 9")))
    with pytest.raises(RecipeError, match=r"tiny.yaml:3:9: cifar_resnet: depth must be 6n \+ 2"):
        Builder().build(recipe.model, "model")


SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=6,
)


@given(args=st.dictionaries(st.sampled_from(["p", "q", "r"]), VALUES), reverse=st.booleans())
def test_a_digest_ignores_order_comments_and_style(
    args: dict[str, object], reverse: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = yaml.safe_load(TINY)
    data["model"] |= args
    folder = tmp_path_factory.mktemp("digest")
    one, other = folder / "one.yaml", folder / "other.yaml"
    one.write_text(yaml.safe_dump(data, sort_keys=True, default_style=None))
    turned = {key: data[key] for key in (reversed(data) if reverse else data)}
    turned["stages"] = [dict(reversed(data["stages"][0].items()))]
    turned["claims"] = [
        {"of": "weights", "split": "test", "metric": "accuracy", "value": 0.5, "decimals": 1, "source": "s"}
    ]
    other.write_text("# a comment\n" + yaml.safe_dump(turned, sort_keys=False, default_flow_style=True))
    assert load_recipe(one).digest == load_recipe(other).digest


def test_a_digest_depends_on_every_value_but_not_on_stated_defaults(recipe_file: Write) -> None:
    plain = load_recipe(recipe_file(TINY)).digest
    assert load_recipe(recipe_file(TINY, ("lr: 0.1", "lr: 0.2"))).digest != plain
    assert (
        load_recipe(recipe_file(TINY, ("loss: CrossEntropy", "loss: {use: CrossEntropy}, weight: 1"))).digest == plain
    )


def test_a_call_as_data_is_its_name_and_arguments() -> None:
    assert to_data(Call(use="SGD", args={"b": [1, Call(use="x")], "a": None})) == {
        "use": "SGD", "a": None, "b": [1, {"use": "x"}],
    }  # fmt: skip
