"""A published ResNet-20 on real test images of CIFAR-10; skipped where these are not beside the checkout."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from torchvision.transforms import v2

from harness.records.record import read_record
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Zoo
from tests.helpers.vision_data import cifar_files, png
from zoo.fetch import weights_file
from zoo.models import cifar_resnet
from zoo.recipes import catalogue

SHARED = ROOT.parent / "shared" / "data"
ENTRY = catalogue.select(["akamaster-resnet20-cifar10"])[0]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the data are not here")


@pytest.fixture(scope="module")
def images() -> np.ndarray:  # type: ignore[type-arg]
    """The first 1,000 test images, `(1000, 32, 32, 3)`: the file tiles them, 25 a row."""
    tiled = np.asarray(Image.open(SHARED / "cifar10" / "test1000" / "batch_50.webp").convert("RGB"))
    return tiled.reshape(40, 32, 25, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)


@pytest.fixture(scope="module")
def hub(images: np.ndarray) -> Iterator[LocalHub]:  # type: ignore[type-arg]
    files = cifar_files("plain_text", "label", 10, 1)
    labels = np.fromfile(SHARED / "cifar10" / "labels.bin", dtype=np.uint8)[50_000:].astype(np.int64)
    encoded = [{"bytes": png(image), "path": None} for image in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    buffer = io.BytesIO()
    pq.write_table(pa.table({"img": pa.array(encoded, kind), "label": pa.array(labels)}), buffer)
    with LocalHub() as server:
        files["plain_text/test-00000-of-00001.parquet"] = buffer.getvalue()
        server.add("datasets", "uoft-cs/cifar10", files)
        yield server


@pytest.fixture
def cifar(zoo: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "zoo.lock"))
    monkeypatch.setenv("ZOO_MIRROR", str(SHARED / "weights"))
    return zoo


def test_the_published_weights_err_as_published_as_far_as_a_tenth_of_the_split_tells(cifar: Zoo) -> None:
    ended = cifar("reproduce", ENTRY.name, "--json", "--device", "cpu")
    (entry,) = json.loads(ended.out)["entries"]
    (claim,) = entry["claims"]
    assert (ended.code, claim["verdict"]) == (3, "not-compared")
    assert 0.075 <= 1 - claim["measured"] <= 0.095
    assert "Measured on 1,000 examples, but claimed on 10,000." in claim["why"]
    assert "inside the 95 % interval of the measured 0.9150: 0.8961 to 0.9307." in claim["why"]
    assert read_record(Path(entry["records"][0])).weights.startswith("12fca82f")


def test_a_claim_on_those_images_is_reproduced(cifar: Zoo, tmp_path: Path) -> None:
    text = ENTRY.path.read_text().replace("value: 0.9173", "value: 0.915").replace("n: 10000", "n: 1000")
    (tmp_path / "thousand.yaml").write_text(text)
    ended = cifar("reproduce", "thousand.yaml", "--device", "cpu")
    assert (ended.code, ended.out.splitlines()[0]) == (0, f"{ENTRY.name}: reproduced")


def test_large_batches_give_the_published_protocols_predictions(
    cifar: Zoo,
    images: np.ndarray,  # type: ignore[type-arg]
) -> None:
    """One image at a time through torchvision's transforms and a model loaded by hand."""
    ended = cifar("reproduce", ENTRY.name, "--json", "--device", "cpu")
    record = Path(json.loads(ended.out)["entries"][0]["records"][0])
    ours = np.load(record.with_name("predictions-test.npz"))
    model = cifar_resnet(depth=20, shortcut="padding", head="linear").eval()
    weights_file.load_into(model, SHARED / "weights" / "resnet20-12fca82f.th")
    theirs = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    with torch.no_grad():
        logits = torch.cat([model(theirs(Image.fromarray(image))[None]) for image in images]).numpy()
    assert np.array_equal(logits.argmax(1), ours["predictions"])
    assert np.abs(logits - ours["logits"]).max() < 1e-3
