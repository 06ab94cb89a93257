"""Recipes that zoo makes of the cards of image classifiers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import save

from tests.helpers.card_models import card, result
from tests.helpers.glue_hub import results, use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.image_cards import NAMES, cifar_data, vit_model
from tests.helpers.project import Zoo
from zoo.claims.mapping.image_models import image_facts
from zoo.claims.mapping.reasons import UnmappedError
from zoo.fetch.source_types import HubRepo

IMAGES, FINE = "someone/images", "someone/fine-and-coarse"


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        server.add("datasets", IMAGES, cifar_data())
        yield server


@pytest.fixture
def hub_zoo(zoo: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def shown(dataset: str, split: str = "test") -> bytes:
    return card(result(dataset, ("accuracy", 0.5), task="image-classification", split=split))


def test_imagenet_is_read_from_a_folder(hub: LocalHub, hub_zoo: Zoo) -> None:
    model = vit_model([f"class {number}" for number in range(1000)])
    hub.add("models", "someone/vit", {**model, "README.md": shown("imagenet-1k", "validation")})
    written = hub_zoo("recipe", "someone/vit")
    recipe = yaml.safe_load(written.out)
    source = f"hub:someone/vit@{recipe['weights'].rpartition('@')[2]}"
    assert recipe["task"] == {
        "use": "image_folder", "data": "data:ilsvrc2012", "classes": 1000,
        "preprocessing": {"use": "published", "of": source},
    }  # fmt: skip
    assert recipe["model"] == {"use": "image_classifier", "init": source, "num_labels": 1000}
    assert "tokenizer" not in recipe
    assert recipe["claims"][0]["split"] == "val"
    Path("mine.yaml").write_text(written.out, encoding="utf-8")
    assert hub_zoo("check", "mine.yaml").code == 0


def test_the_hidden_test_split_of_imagenet_is_a_reason(hub: LocalHub, hub_zoo: Zoo) -> None:
    model = vit_model([f"class {number}" for number in range(1000)])
    hub.add("models", "someone/hidden", {**model, "README.md": shown("imagenet-1k", "test")})
    assert "hidden-labels: " in hub_zoo("verify", "someone/hidden").out


def test_of_several_class_labels_the_one_with_as_many_classes_as_the_model_is_read(hub: LocalHub, hub_zoo: Zoo) -> None:
    files = cifar_data("fine_label")
    coarse = {"name": "coarse_label", "dtype": {"class_label": {"names": {"0": "animal", "1": "vehicle"}}}}
    files["README.md"] = files["README.md"].replace(
        b'"features": [', b'"features": [' + json.dumps(coarse).encode() + b", "
    )
    hub.add("datasets", FINE, files)
    hub.add("models", "someone/fine", {**vit_model(), "README.md": shown(FINE)})
    assert yaml.safe_load(hub_zoo("recipe", "someone/fine").out)["task"]["label"] == "fine_label"


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"architecture": "hf-hub:other/model"}, "architecture is no name"),
        ({"model_args": {"checkpoint_path": "x"}}, "the model argument 'checkpoint_path'"),
        ({"model_args": {"act_layer": {"use": "torch.load"}}}, "the model argument 'act_layer'"),
        ({"model_args": {"head": "file:x"}}, "the model argument 'head'"),
        ({"model_args": {"use": "x"}}, "the model argument 'use'"),
        ({"model_args": [1]}, "model_args are no JSON object"),
        ({"model_args": {"num_classes": "x"}}, "num_classes is no number"),
        ({"num_classes": 10**9}, "num_classes is no number up to"),
        ({"num_classes": 0}, "num_classes is 0: it has no classifier"),
    ],
)
def test_settings_of_timm_cannot_load_anything_else(changed: dict[str, Any], detail: str) -> None:
    settings = {"architecture": "test_resnet", "num_classes": 10, **changed}
    with pytest.raises(UnmappedError, match=f"^unsupported-model: .*{detail}"):
        image_facts(HubRepo("model", "someone/timm", "0" * 40), settings, ["config.json", "model.safetensors"])


@pytest.mark.parametrize(
    ("changed", "arguments"),
    [
        ({}, {"num_classes": 10}),
        ({"model_args": {"img_size": [8, 16], "qkv_bias": False, "act_layer": None}},
         {"num_classes": 10, "img_size": [8, 16], "qkv_bias": False}),
        ({"pretrained_cfg": {"num_classes": 5, "input_size": [1, 32, 32], "fixed_input_size": True}},
         {"num_classes": 10, "in_chans": 1, "img_size": 32}),
        ({"pretrained_cfg": {"input_size": [3, 32, 32]}, "num_classes": None}, {"num_classes": 1000}),
        ({"pretrained_cfg": {"input_size": [3, 32, 32], "fixed_input_size": True}, "model_args":
          {"dynamic_img_size": True}}, {"num_classes": 10, "dynamic_img_size": True}),
    ],
)  # fmt: skip
def test_the_recipe_of_a_model_of_timm_has_the_arguments_of_its_settings(
    changed: dict[str, Any], arguments: dict[str, Any]
) -> None:
    settings = {"architecture": "test_vit", "num_classes": 10, **changed}
    facts = image_facts(HubRepo("model", "someone/timm", "0" * 40), settings, ["config.json", "model.safetensors"])
    assert facts.model == {"use": "timm.create_model", "model_name": "test_vit", **arguments}


def test_a_model_of_timm_is_verified_with_its_own_settings(hub: LocalHub, hub_zoo: Zoo) -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("test_resnet", num_classes=len(NAMES))
    config = {
        "architecture": "test_resnet", "num_classes": len(NAMES), "label_names": list(NAMES[::-1]),
        "pretrained_cfg": {"input_size": [3, 32, 32]},
    }  # fmt: skip
    files = {"config.json": json.dumps(config).encode(), "model.safetensors": save(model.state_dict())}
    hub.add("models", "someone/timm", {**files, "README.md": shown(IMAGES)})
    entry = results(hub_zoo("verify", "someone/timm", "--json"))["someone--timm"]
    assert entry["error"] is None
    assert [claim["verdict"] for claim in entry["claims"]] in (["reproduced"], ["not-reproduced"])
