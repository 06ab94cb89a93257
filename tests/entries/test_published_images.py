"""Published image classifiers: their preprocessing, their classes, and a data set of images, all from a Hub."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save
from transformers import AutoImageProcessor, ViTConfig, ViTForImageClassification

from harness.records.arrays import read_arrays
from harness.records.record import read_record
from tests.helpers.device import device
from tests.helpers.glue_hub import results, use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Write, Zoo
from tests.helpers.vision_data import cifar_files, pixels

NAMES, ROWS = ("cat", "dog", "eel", "fox"), 24
"""The classes in the order of the data."""
CLASSES = len(NAMES)
RECIPE = """\
name: images
task:
  use: image_classification
  data: hub:datasets/someone/images
  image: img
  splits: [test]
  preprocessing: {use: published, of: "hub:someone/vit"}
model: {use: image_classifier, init: "hub:someone/vit", num_labels: 4}
weights: hub:someone/vit
claims:
  - {of: weights, split: test, metric: accuracy, value: 0.5, decimals: 1, source: the card}
"""
MODEL = 'model: {use: image_classifier, init: "hub:someone/vit", num_labels: 4}'


def vit_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a tiny published classifier, whose classes have another order than those of the data."""
    torch.manual_seed(0)
    names = [NAMES[number] for number in (2, 0, 3, 1)]
    config = ViTConfig(
        image_size=16, patch_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        id2label=dict(enumerate(names)), label2id={name: number for number, name in enumerate(names)},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(folder)
    settings = {
        "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": 16, "width": 16},
        "resample": 2, "do_normalize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.1, 0.1, 0.1],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with LocalHub() as server:
        files = cifar_files("plain", "label", CLASSES, ROWS)
        for number, name in enumerate(NAMES):
            files["README.md"] = files["README.md"].replace(f"class {number}".encode(), name.encode())
        server.add("datasets", "someone/images", files)
        server.add("models", "someone/vit", vit_files(tmp_path_factory.mktemp("vit")))
        yield server


@pytest.fixture
def hub_zoo(zoo: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def test_a_classifier_of_transformers_is_scored_with_its_own_preprocessing(
    hub_zoo: Zoo, hub: LocalHub, recipe_file: Write, tmp_path: Path
) -> None:
    checked = hub_zoo("check", recipe_file(RECIPE))
    assert checked.code == 0, checked.err
    completed = hub_zoo("verify", recipe_file(RECIPE), "--json", "--device", device())
    entry = results(completed)["images"]
    assert entry["error"] is None, completed.err
    path = Path(entry["records"][0])
    files = {name.rsplit("/")[-1] for name in read_record(path).identity.sources["files"]}
    assert files == {"config.json", "model.safetensors", "preprocessor_config.json"}
    folder = tmp_path / "vit"
    vit_files(folder)
    model = ViTForImageClassification.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    images = [Image.fromarray(image) for image in pixels(1, ROWS, 32, 32, 3)]
    with torch.no_grad():
        logits = model(**processor(images, return_tensors="pt")).logits
    in_order = logits[:, [model.config.label2id[name] for name in NAMES]]
    predicted = read_arrays(path.with_name("predictions-test.npz"))
    assert np.allclose(predicted["logits"], in_order.numpy(), atol=1e-5)
    assert predicted["labels"].tolist() == [row % CLASSES for row in range(ROWS)]


def test_fetching_ahead_is_enough_and_reads_no_model_to_start_from(
    hub_zoo: Zoo, hub: LocalHub, recipe_file: Write
) -> None:
    path = recipe_file(RECIPE, (MODEL, MODEL.replace("someone/vit", "never/read")))
    fetched = hub_zoo("fetch", path)
    assert fetched.code == 0, fetched.err
    requests = len(hub.requests)
    completed = hub_zoo("verify", path, "--json", "--device", device())
    assert results(completed)["images"]["error"] is None, completed.err
    assert len(hub.requests) == requests


def test_a_model_of_timm_is_scored_with_the_settings_and_classes_of_its_repository(
    hub_zoo: Zoo, hub: LocalHub, recipe_file: Write, tmp_path: Path
) -> None:
    timm, data = pytest.importorskip("timm"), pytest.importorskip("timm.data")
    model = timm.create_model("test_resnet", num_classes=CLASSES).eval()
    settings = {"input_size": [3, 32, 32], "crop_pct": 0.9, "mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]}
    names = ["fox", "dog", "cat", "eel"]
    config = {
        "architecture": "test_resnet", "num_classes": CLASSES, "pretrained_cfg": settings, "label_names": names
    }  # fmt: skip
    files = {"config.json": json.dumps(config).encode(), "model.safetensors": save(model.state_dict())}
    hub.add("models", "timm/test_resnet.mine", files)
    own = f"model: {{use: timm.create_model, model_name: test_resnet, num_classes: {CLASSES}}}"
    path = recipe_file(RECIPE, (MODEL, own), ("hub:someone/vit", "hub:timm/test_resnet.mine"))
    completed = hub_zoo("verify", path, "--json", "--device", device())
    entry = results(completed)["images"]
    assert entry["error"] is None, completed.err
    transform = data.create_transform(**data.resolve_data_config(pretrained_cfg=settings))
    images = torch.stack([transform(Image.fromarray(image)) for image in pixels(1, ROWS, 32, 32, 3)])
    with torch.no_grad():
        logits = model(images)[:, [names.index(name) for name in NAMES]]
    predicted = read_arrays(Path(entry["records"][0]).with_name("predictions-test.npz"))
    assert np.allclose(predicted["logits"], logits.numpy(), atol=1e-4)


def test_a_recipe_beside_weights_of_timm_reads_its_own_settings(hub_zoo: Zoo, hub: LocalHub) -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("test_resnet", num_classes=CLASSES)
    config = {"architecture": "test_resnet", "num_classes": CLASSES, "pretrained_cfg": {"input_size": [3, 32, 32]}}
    own = f"model: {{use: timm.create_model, model_name: test_resnet, num_classes: {CLASSES}}}"
    recipe = RECIPE.replace(MODEL, own).replace("hub:someone/vit", "hub:.")
    files = {"config.json": json.dumps(config).encode(), "model.safetensors": save(model.state_dict())}
    hub.add("models", "someone/timm", {**files, "zoo.yaml": recipe.encode()})
    for command in ("check", "fetch", "verify"):
        completed = hub_zoo(command, "someone/timm", *(["--device", device()] if command == "verify" else []))
        assert completed.code in (0, 1), completed.err
        assert "error" not in completed.err


def test_a_repository_of_timm_is_no_model_of_transformers(hub_zoo: Zoo, hub: LocalHub, recipe_file: Write) -> None:
    config = {"architecture": "resnet18", "pretrained_cfg": {}}
    hub.add("models", "timm/other", {"config.json": json.dumps(config).encode(), "model.safetensors": b"x"})
    refused = hub_zoo("verify", recipe_file(RECIPE, ("weights: hub:someone/vit", "weights: hub:timm/other")))
    assert refused.code == 2
    assert "describes a model of timm, not of transformers; write model: {use: timm.create_model, " in refused.err


def test_a_classifier_is_trained_from_published_weights(hub_zoo: Zoo, recipe_file: Write) -> None:
    stages = """\
stages:
  - epochs: 1
    batch_size: 8
    optimizer: {use: SGD, lr: 0.01}
    criterion: {ce: {loss: CrossEntropy}}
"""
    text = RECIPE.partition("weights: ")[0].replace("[test]", "[train, test]") + stages
    completed = hub_zoo("train", recipe_file(text), "--out", "run", "--device", device())
    assert completed.code == 0, completed.err
    card = (Path("run") / "README.md").read_text()
    assert "Images are prepared by `published(of='hub:someone/vit')`" in card
    scored = hub_zoo("evaluate", "run", "--as", "tiny.yaml", "--device", device())
    assert scored.code == 0, scored.err
