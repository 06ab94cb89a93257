"""A suite of torchvision from end to end: made weights, a made ImageNet, verdicts, and the list of other counts."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models
from torchvision.transforms._presets import ImageClassification

from tests.helpers.made_suite import MadeWeights, imagenet, made_weights
from tests.helpers.project import Zoo
from zoo.fetch.quantized_weights import without_warnings
from zoo.suites import torchvision_weights
from zoo.tasks import image_split

CLASSES, CROP = 1000, 64
PLAIN = "shufflenet_v2_x0_5"


def scores(model: nn.Module, root: Path) -> tuple[float, float]:
    """Evaluate as torchvision does, with its transforms, and return the per cents of top-1 and top-5."""
    files = sorted((root / "val").glob("*/*"))
    transform = ImageClassification(crop_size=CROP, resize_size=CROP + 4)
    with torch.inference_mode():
        logits = model.eval()(torch.stack([transform(Image.open(file).convert("RGB")) for file in files]))
    right = logits.topk(5).indices == torch.arange(CLASSES)[:, None]
    return 100 * right[:, 0].float().mean().item(), 100 * right.any(dim=1).float().mean().item()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The made ImageNet. torchvision lists weights with a true score, with a wrong one, quantized, and without one."""
    torch.manual_seed(0)
    root, home, nan = imagenet(tmp_path / "imagenet", CLASSES), tmp_path / "home", float("nan")
    plain = models.shufflenet_v2_x0_5()
    plain.fc.weight.data *= 300  # logits that are far apart
    with without_warnings():
        quantized = models.quantization.shufflenet_v2_x0_5(quantize=True)
    first, fifth = scores(plain, root)
    listed = [
        (PLAIN, made_weights("TRUE", plain.state_dict(), home, (first, fifth), CROP)),
        (PLAIN, made_weights("WRONG", plain.state_dict(), home, (first + 40, first + 50), CROP)),
        (f"quantized_{PLAIN}", made_weights("TRUE", quantized.state_dict(), home, scores(quantized, root), CROP)),
        ("vgg16", made_weights("FEATURES", {}, home, (nan, nan), CROP)),
        ("frcnn", MadeWeights("COCO_V1", "https://a.b/c.pth", ObjectDetection, {"_metrics": {"COCO": {}}})),
    ]
    monkeypatch.setattr(torchvision_weights, "listed_weights", lambda: listed)
    monkeypatch.setattr(torchvision_weights, "SIZES", {torchvision_weights.IMAGENET: CLASSES})
    return root


class ObjectDetection(SimpleNamespace):
    """The transforms of a detector."""


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded."""
    read, files = image_split.read_rgb, list[Path]()
    monkeypatch.setattr(image_split, "read_rgb", lambda path: files.append(path) or read(path))
    return files


def test_a_suite_is_verified_to_the_image_and_other_counts_are_listed(
    zoo: Zoo, root: Path, decoded: list[Path]
) -> None:
    arguments = ["verify", "--suite", "torchvision", "--data", f"ilsvrc2012={root}"]
    done = zoo(*arguments, "--json")
    verdicts = {entry["entry"]: entry["verdict"] for entry in json.loads(done.out)["entries"]}
    assert verdicts == {
        f"torchvision-{PLAIN}-TRUE": "reproduced",
        f"torchvision-{PLAIN}-WRONG": "not-reproduced",
        f"torchvision-quantized_{PLAIN}-TRUE": "reproduced",
        "torchvision-vgg16-FEATURES": "not-compared",
    }, done.err
    assert done.code == 1
    assert len(decoded) == CLASSES  # three models share the decoded images

    _, _, listed = zoo(*arguments).out.partition("Other counts than claimed:\n")
    assert "WRONG" in listed
    assert "-400" in listed
    assert "TRUE" not in listed

    source = ("--source", "https://example.org/record")
    published = zoo("publish", f"torchvision-{PLAIN}-WRONG:weights", "--to", "model-index", *source)
    assert published.code == 0, published.err
    assert "verdict: not-reproduced" in published.out


def test_an_audit_reads_the_claims_of_a_suite_by_name_pattern_and_expression(
    zoo: Zoo, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    everything = zoo("audit", "--suite", "torchvision", "--json")
    names = [target["target"] for target in json.loads(everything.out)["targets"]]
    assert names[:3] == [
        f"torchvision-{PLAIN}-TRUE",
        f"torchvision-{PLAIN}-WRONG",
        f"torchvision-quantized_{PLAIN}-TRUE",
    ]
    assert "torchvision: 1 more are not supported" in everything.err
    for arguments in (["torchvision-*-WRONG"], ["--suite", "torchvision", "--where", "'WRONG' in name"], [names[1]]):
        out = zoo("audit", *arguments, "--json").out
        assert [target["target"] for target in json.loads(out)["targets"]] == [names[1]], arguments
    (root / "README.md").write_text("# A card\n")
    refused = zoo("audit", str(root / "README.md"), "--where", "params<3")
    assert (refused.code, "--where selects entries" in refused.err) == (2, True)
