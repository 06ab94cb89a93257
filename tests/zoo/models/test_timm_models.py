"""Models of timm with weights from repositories, checked against the `config.json` beside them. Nothing downloads."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.helpers.project import TINY, Write, Zoo
from zoo.errors import UsageError, ZooError
from zoo.fetch.sources import Sources
from zoo.recipes.build import Builder
from zoo.recipes.load_model import load_model
from zoo.recipes.values import Call

timm = pytest.importorskip("timm")

MODEL = "model: {use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}"
CONFIG = {
    "architecture": "test_resnet", "num_classes": 3, "label_names": ["cat", "dog", "eel"],
    "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "input_size": [3, 32, 32], "crop_pct": 0.9},
}  # fmt: skip


def published(folder: Path, name: str = "test_resnet", config: dict[str, Any] | None = None, **arguments: Any) -> Path:
    """Write a repository of timm with random weights."""
    torch.manual_seed(1)
    folder.mkdir()
    model = timm.create_model(name, num_classes=3, **arguments)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**CONFIG, "architecture": name, **(config or {})}))
    return folder


def loaded(folder: Path, **arguments: Any) -> torch.nn.Module:
    call = Call(use="timm.create_model", args={"model_name": "test_resnet", "num_classes": 3, **arguments})
    return load_model(call, Sources().fetch(f"file:{folder}"), Builder())


def test_a_repository_of_timm_is_loaded_and_names_its_classes(tmp_path: Path) -> None:
    folder = published(tmp_path / "timm")
    torch.manual_seed(1)
    expected = timm.create_model("test_resnet", num_classes=3).state_dict()
    for name in ("test_resnet", "test_resnet.r160_in1k"):
        model = loaded(folder, model_name=name)
        assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    assert model.published_classes == ["cat", "dog", "eel"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "resnet18"}, "describes resnet18, but the recipe's model is test_resnet; write model_name"),
        ({"num_classes": 1000}, "says num_classes: 1000, but the recipe's model has 3"),
        ({"num_classes": 0}, "says num_classes: 0, but the recipe's model has 3"),
        ({"model_args": {"drop_rate": 0.5}}, "says drop_rate: 0.5, but the recipe's model has 0.1"),
        (
            {"model_args": {"act_layer": {"use": "x"}}},
            "the model argument 'act_layer' is no number, name",
        ),
        ({"model_args": {"checkpoint_path": "x"}}, "the model argument 'checkpoint_path' could load files or code"),
        ({"pretrained_cfg": [1]}, "pretrained_cfg must be a JSON object"),
        ({"model_args": "x"}, "model_args are no JSON object"),
    ],
)
def test_another_model_than_the_configuration_describes_is_refused(
    config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ZooError, match=message):
        loaded(published(tmp_path / "timm", config=config), drop_rate=0.1)


@pytest.mark.parametrize(
    "config",
    [
        {"model_args": {"img_size": 48, "global_pool": "avg", "class_token": False}},
        {"model_args": {"global_pool": "avg", "class_token": False},
         "pretrained_cfg": {"input_size": [3, 48, 48], "fixed_input_size": True}},
        {"model_args": {"global_pool": "avg", "class_token": False, "img_size": [48, 48], "drop_rate": None}},
    ],
)  # fmt: skip
def test_arguments_that_only_the_configuration_names_build_the_model(config: dict[str, Any], tmp_path: Path) -> None:
    changed = {"img_size": 48, "global_pool": "avg", "class_token": False}
    folder = published(tmp_path / "vit", "test_vit", config, **changed)
    messages: list[str] = []
    call = Call(use="timm.create_model", args={"model_name": "test_vit"})
    model = load_model(call, Sources(report=messages.append).fetch(f"file:{folder}"), Builder())
    torch.manual_seed(1)
    expected = timm.create_model("test_vit", num_classes=3, **changed).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert (model.global_pool, model.num_classes) == ("avg", 3)


def test_a_size_in_the_recipe_is_another_than_that_of_the_weights(tmp_path: Path) -> None:
    config = {"pretrained_cfg": {"input_size": [3, 160, 160], "fixed_input_size": True}}
    model = loaded(published(tmp_path / "vit", "test_vit", config), model_name="test_vit", img_size=80)
    assert model.patch_embed.img_size == (80, 80)


def test_a_configuration_of_another_library_says_nothing_of_the_model(tmp_path: Path) -> None:
    assert isinstance(loaded(published(tmp_path / "timm", config={"model_type": "bert"})), torch.nn.Module)


def test_weights_of_older_versions_pass_timms_own_filter(tmp_path: Path) -> None:
    folder = published(tmp_path / "vit", "test_vit")
    state = timm.create_model("test_vit", num_classes=3).state_dict()
    flat = {**state, "patch_embed.proj.weight": state["patch_embed.proj.weight"].flatten(1)}
    save_file(flat, folder / "model.safetensors")
    model = loaded(folder, model_name="test_vit")
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    save_file({**flat, "other": torch.ones(1)}, folder / "model.safetensors")
    with pytest.raises(UsageError, match="unexpected other"):
        loaded(folder, model_name="test_vit")


def test_weights_that_timm_would_download_are_refused(zoo: Zoo, recipe_file: Write) -> None:
    for argument, reason in (("pretrained: true", "loads by name"), ("cache_dir: x", "reads or writes files")):
        path = recipe_file(TINY, (MODEL, f"model: {{use: timm.create_model, model_name: test_resnet, {argument}}}"))
        refused = zoo("check", path)
        assert (refused.code, reason in refused.err) == (2, True), refused.err
    for name in ("hf-hub:timm/resnet18", "timm/resnet18", "local-dir:x"):
        path = recipe_file(TINY, (MODEL, f"model: {{use: timm.create_model, model_name: '{name}'}}"))
        refused = zoo("check", path)
        assert (refused.code, "looks like a file or a repository" in refused.err) == (2, True), refused.err


@pytest.mark.parametrize("name", ["timm.create_model, model_name: resnet18", "timm.models.resnet18"])
def test_without_timm_the_error_has_the_command_that_installs_it(
    name: str, zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module == "timm" or module.startswith("timm.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "timm", None)
    assert importlib.util.find_spec("timm") is None
    refused = zoo("check", recipe_file(TINY, (MODEL, f"model: {{use: {name}}}")))
    assert refused.code == 2
    assert "needs the package 'timm', which is not installed; install it: pip install timm" in refused.err
