"""A published ResNet-20 on 1,000 real test images of CIFAR-10; skipped if the data are not beside the checkout."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import v2

from harness.models.rounding import rounding_tolerance, terms_of
from harness.records.arrays import read_arrays
from harness.records.record import read_record
from tests.helpers.device import device
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Zoo
from tests.helpers.vision_data import cifar_files, png
from zoo.fetch import weights_file
from zoo.models import cifar_resnet
from zoo.recipes import catalogue

SHARED = ROOT.parent / "shared" / "data"
ENTRY = catalogue.select_one("akamaster-resnet20-cifar10")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data is not beside the checkout")


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    """The first 1,000 test images, `(1000, 32, 32, 3)`. The file holds them as tiles, 25 per row."""
    tiled = np.asarray(Image.open(SHARED / "cifar10" / "test1000" / "batch_50.webp").convert("RGB"))
    return tiled.reshape(40, 32, 25, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)


@pytest.fixture(scope="module")
def hub(images: NDArray[np.uint8]) -> Iterator[LocalHub]:
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


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache and the runs of all tests here, so that the weights are evaluated once."""
    return tmp_path_factory.mktemp("cifar")


@pytest.fixture
def cifar(zoo: Zoo, hub: LocalHub, shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    monkeypatch.setenv("ZOO_HOME", str(shared_folder / "home"))
    monkeypatch.setenv("ZOO_MIRROR", str(SHARED / "weights"))
    cache, lock = shared_folder / "cache", shared_folder / "zoo.lock"
    return use_hub(hub, zoo, cache=cache, lock=lock, monkeypatch=monkeypatch)


@pytest.fixture
def evaluated(cifar: Zoo) -> dict[str, Any]:
    completed = cifar("reproduce", ENTRY.name, "--json", "--device", device())
    (entry,) = json.loads(completed.out)["entries"]
    assert completed.code == 3, completed.err
    return entry  # type: ignore[no-any-return]


def test_a_tenth_of_the_split_is_not_compared_but_its_interval_is_shown(evaluated: dict[str, Any]) -> None:
    (claim,) = evaluated["claims"]
    assert claim["verdict"] == "not-compared"
    assert 0.075 <= 1 - claim["measured"] <= 0.095
    assert "Measured on 1,000 examples, but claimed on 10,000." in claim["why"]
    assert "inside the 95 % interval of the measured 0.9150: 0.8988 to 0.9312 (a sample of the claim's" in claim["why"]
    assert read_record(Path(evaluated["records"][0])).weights.startswith("12fca82f")


def test_a_claim_without_n_is_about_all_10000_images(cifar: Zoo, tmp_path: Path) -> None:
    (tmp_path / "whole.yaml").write_text(ENTRY.path.read_text().replace("n: 10000, ", ""))
    completed = cifar("reproduce", "whole.yaml", "--device", device())
    assert completed.code == 3
    assert "1,000 examples of 'test', which has 10,000. The claim gives no n" in completed.out


def test_a_claim_on_the_same_1000_images_is_reproduced(cifar: Zoo, tmp_path: Path) -> None:
    text = ENTRY.path.read_text().replace("value: 0.9173", "value: 0.915").replace("n: 10000", "n: 1000")
    (tmp_path / "thousand.yaml").write_text(text)
    completed = cifar("reproduce", "thousand.yaml", "--device", device())
    assert (completed.code, completed.out.splitlines()[0]) == (0, f"{ENTRY.name}: reproduced")


def test_batches_give_the_logits_of_single_images(evaluated: dict[str, Any], images: NDArray[np.uint8]) -> None:
    """The published protocol: one image at a time, torchvision's transforms, and a model that is loaded by hand."""
    rows = slice(None, None, 4)
    ours = read_arrays(Path(evaluated["records"][0]).with_name("predictions-test.npz"))
    model = cifar_resnet(depth=20, shortcut="padding", head="linear").eval()
    weights_file.load_into(model, SHARED / "weights" / "resnet20-12fca82f.th")
    transform = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    with torch.no_grad():
        logits = torch.cat([model(transform(Image.fromarray(image))[None]) for image in images[rows]]).numpy()
    allowed = rounding_tolerance(torch.float32, terms_of(model), float(np.abs(logits).max()))
    assert np.abs(logits - ours["logits"][rows]).max() <= allowed
    best = np.sort(logits, axis=1)
    clear = best[:, -1] - best[:, -2] > 2 * allowed
    assert np.array_equal(logits.argmax(1)[clear], ours["predictions"][rows][clear])
