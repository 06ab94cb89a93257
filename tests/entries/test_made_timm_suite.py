"""The suite of timm from end to end: models on a local Hub, a made table of results, a made ImageNet, and verdicts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from harness.records.arrays import read_arrays
from harness.records.record import read_record
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.made_suite import imagenet
from tests.helpers.project import Zoo
from zoo.suites import timm_results
from zoo.tasks import image_split

timm = pytest.importorskip("timm")
data = pytest.importorskip("timm.data")
CLASSES = 1000
MODELS = {
    "test_resnet": {"input_size": [3, 96, 96], "crop_pct": 0.875, "interpolation": "bicubic"},
    "test_efficientnet": {"input_size": [3, 96, 96], "crop_pct": 0.875, "interpolation": "bicubic"},
    "test_convnext": {"input_size": [3, 64, 64], "crop_pct": 1.0, "interpolation": "bilinear"},
    "test_vit": {"input_size": [3, 160, 160], "crop_pct": 0.95, "interpolation": "bicubic", "crop_mode": "squash"},
}
"""Architectures of different kinds with the settings in their `config.json`; two of them read the same pixels."""


def scores(model: torch.nn.Module, settings: dict[str, Any], root: Path) -> tuple[float, float]:
    """Evaluate as timm does, with its own transforms, and return the per cents of top-1 and top-5."""
    transform = data.create_transform(**data.resolve_data_config(pretrained_cfg=settings))
    files = sorted((root / "val").glob("*/*"))
    with torch.inference_mode():
        logits = model.eval()(torch.stack([transform(Image.open(file).convert("RGB")) for file in files]))
    right = logits.topk(5).indices == torch.arange(CLASSES)[:, None]
    return 100 * right[:, 0].float().mean().item(), 100 * right.any(dim=1).float().mean().item()


def made_model(name: str, settings: dict[str, Any], root: Path) -> tuple[torch.nn.Module, tuple[float, float]]:
    """Return a random model whose logits are far apart and that is right at least once, and its scores."""
    model, right = timm.create_model(name, num_classes=CLASSES), (0.0, 0.0)
    while not right[0]:
        for parameter in model.get_classifier().parameters():
            parameter.data.normal_()
        right = scores(model, settings, root)
    return model, right


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return imagenet(tmp_path / "imagenet", CLASSES)


@pytest.fixture
def suite_zoo(zoo: Zoo, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The models on a Hub, and the true scores of all but `test_convnext` in timm's table."""
    torch.manual_seed(0)
    rows = ["model,img_size,top1,top5,param_count,crop_pct,interpolation"]
    with LocalHub() as hub:
        for name, published in MODELS.items():
            settings = {**published, "mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]}
            model, (first, fifth) = made_model(name, settings, root)
            config = {"architecture": name, "num_classes": CLASSES, "pretrained_cfg": settings}
            files = {"config.json": json.dumps(config).encode(), "model.safetensors": save(model.state_dict())}
            hub.add("models", f"timm/{name}.r160_in1k", files)
            wrong = 30 if name == "test_convnext" else 0
            size, crop, how = settings["input_size"][2], settings["crop_pct"], settings["interpolation"]
            rows.append(f"{name}.r160_in1k,{size},{first + wrong:.3f},{fifth + wrong:.3f},0.5,{crop},{how}")
        table = tmp_path / "tables" / "timm" / timm_results.TABLES["timm"].file
        table.parent.mkdir(parents=True)
        table.write_text("\n".join(rows) + "\n")
        monkeypatch.setenv("ZOO_DATA", str(table.parent.parent))
        tables = {**timm_results.TABLES, "timm": replace(timm_results.TABLES["timm"], n=CLASSES)}
        monkeypatch.setattr(timm_results, "TABLES", tables)
        yield use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


@pytest.mark.slow
def test_the_suite_of_timm_is_verified_to_the_image(
    suite_zoo: Zoo, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, decoded = image_split.read_rgb, list[Path]()
    monkeypatch.setattr(image_split, "read_rgb", lambda path: decoded.append(path) or read(path))
    done = suite_zoo("verify", "--suite", "timm", "--data", f"ilsvrc2012={root}", "--json")
    entries = {entry["entry"]: entry for entry in json.loads(done.out)["entries"]}
    assert {name: entry["verdict"] for name, entry in entries.items()} == {
        "timm-test_resnet.r160_in1k-96": "reproduced",
        "timm-test_efficientnet.r160_in1k-96": "reproduced",
        "timm-test_convnext.r160_in1k-64": "not-reproduced",
        "timm-test_vit.r160_in1k-160": "reproduced",
    }, done.err
    assert done.code == 1
    assert len(decoded) == 3 * CLASSES  # two models share the decoded images
    record = Path(entries["timm-test_vit.r160_in1k-160"]["records"][0])
    assert read_record(record).results[0].n == CLASSES
    assert len(np.unique(read_arrays(record.with_name("predictions-val.npz"))["predictions"])) > 1
