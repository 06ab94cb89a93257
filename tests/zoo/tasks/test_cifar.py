"""Small images in memory: augmentation and normalization as torchvision's, and CIFAR from the Hub or from files."""

import hashlib
import pickle
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.transforms import v2

from tests.helpers.hub_server import LocalHub
from tests.helpers.vision_data import cifar_files, pixels, png
from zoo.errors import IntegrityError, NoDataError, UsageError
from zoo.fetch.hub import Hub
from zoo.fetch.lock import Lock
from zoo.fetch.sources import Source, Sources
from zoo.tasks import cifar
from zoo.tasks.base import content_hash
from zoo.tasks.pixels import PixelSplit

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)


def test_pixels_are_normalised_as_torchvision_does() -> None:
    images = pixels(0, 7, 32, 32, 3)
    split = PixelSplit(torch.from_numpy(images).permute(0, 3, 1, 2), torch.arange(7), mean=MEAN, std=STD)
    theirs = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    expected = torch.stack([theirs(Image.fromarray(image)) for image in images])
    batch = split.batch([3, 0, 6])
    assert torch.allclose(batch.inputs, expected[[3, 0, 6]], atol=1e-6)  # type: ignore[arg-type]
    assert (batch.labels.tolist(), batch.ids.tolist()) == ([3, 0, 6], [3, 0, 6])
    one_by_one = torch.cat([split.batch([row]).inputs for row in range(7)])  # type: ignore[misc]
    assert torch.equal(one_by_one, split.batch(range(7)).inputs)  # type: ignore[arg-type]


Outcome = tuple[int, int, bool]
"""Top, left and whether the crop is flipped."""


def all_outcomes(side: int, padding: int) -> dict[bytes, Outcome]:
    """Return every possible crop of an image whose pixels all differ, by the bytes of the crop."""
    image = np.arange(1, side * side + 1, dtype=np.uint8).reshape(side, side)
    padded = np.pad(image, padding)
    outcomes = {}
    for top, left, flipped in product(range(2 * padding + 1), range(2 * padding + 1), (False, True)):
        crop = padded[top : top + side, left : left + side]
        outcomes[(crop[:, ::-1] if flipped else crop).tobytes()] = (top, left, flipped)
    return outcomes


def count_outcomes(images: Tensor, outcomes: dict[bytes, Outcome]) -> Counter[Outcome]:
    return Counter(outcomes[image.round().byte().numpy().tobytes()] for image in images[:, 0])


def test_normalised_pixels_have_the_same_bits_on_every_processor() -> None:
    """A product and a sum that each round once, as in IEEE 754. Some processors fuse the two in `addcmul`."""
    pixels = torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8)
    split = PixelSplit(pixels, torch.zeros(5), mean=(0.49, 0.48, 0.45), std=(0.2, 0.19, 0.21))
    product = pixels.double() * split.scale.double()
    expected = (product.float().double() + split.shift.double()).float()
    assert torch.equal(split.batch(range(5)).inputs, expected)  # type: ignore[arg-type]


@pytest.mark.slow
def test_crops_and_flips_have_the_distribution_of_torchvisions() -> None:
    """The same 162 outcomes, all equally likely; the moments differ by less than three standard errors."""
    side, padding, count = 6, 4, 8_000
    outcomes = all_outcomes(side, padding)
    assert len(outcomes) == 162
    image = torch.arange(1, side * side + 1, dtype=torch.uint8).reshape(1, 1, side, side)
    torch.manual_seed(0)
    split = PixelSplit(
        image.expand(count, 1, side, side), torch.zeros(count, dtype=torch.int64),
        mean=[0.0], std=[1 / 255], padding=padding, flip=True,
    )  # fmt: skip
    assert not split.fixed
    ours = count_outcomes(split.batch(range(count)).inputs, outcomes)  # type: ignore[arg-type]
    theirs_transform = v2.Compose([v2.RandomCrop(side, padding=padding), v2.RandomHorizontalFlip()])
    theirs = count_outcomes(torch.stack([theirs_transform(image[0]) for _ in range(count)]).float(), outcomes)
    assert ours.keys() == theirs.keys() == set(outcomes.values())
    for counts in (ours, theirs):
        chi2 = sum((n - count / 162) ** 2 for n in counts.values()) / (count / 162)
        assert abs(chi2 - 161) < 4 * np.sqrt(2 * 161)  # 161 degrees of freedom: mean 161, variance 322
    for moment in (lambda o: o[0], lambda o: o[1], lambda o: o[2], lambda o: o[0] * o[1], lambda o: o[0] * o[2]):
        means, spread = [], 0.0
        for counts in (ours, theirs):
            values = np.repeat([moment(outcome) for outcome in counts], list(counts.values())).astype(float)
            means.append(values.mean())
            spread = max(spread, values.std())
        assert abs(means[0] - means[1]) < 3 * spread * np.sqrt(2 / count)


def test_every_image_of_a_batch_has_its_own_crop_and_the_same_crop_for_all_channels() -> None:
    image = torch.arange(1, 37, dtype=torch.uint8).reshape(1, 1, 6, 6).expand(64, 3, 6, 6)
    split = PixelSplit(image, torch.zeros(64), mean=[0.0] * 3, std=[1 / 255] * 3, padding=4, flip=True)
    torch.manual_seed(1)
    images = split.batch(range(64)).inputs
    assert isinstance(images, Tensor)
    assert torch.equal(images[:, 0], images[:, 1])
    assert torch.equal(images[:, 0], images[:, 2])
    assert len({image.numpy().tobytes() for image in images}) > 30
    torch.manual_seed(1)
    assert torch.equal(split.batch(range(64)).inputs, images)  # type: ignore[arg-type]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[LocalHub, Sources]]:
    with LocalHub() as server:
        client = Hub(deadline=10)
        client.endpoint, client.cache = server.url, tmp_path / "cache"
        yield server, Sources(lock=Lock(tmp_path / "zoo.lock", {}, tmp_path / "trusted.json"), hub=client)


def test_cifar_has_the_same_rows_from_the_hub_and_from_torchvisions_files(
    hub: tuple[LocalHub, Sources], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, sources = hub
    server.add("datasets", "uoft-cs/cifar10", cifar_files("plain_text", "label", 10, 12))
    local = tmp_path / "local" / CIFAR10.base_folder
    local.mkdir(parents=True)
    digests = {}
    for seed, name in enumerate(("data_batch_1", "test_batch")):
        flat = pixels(seed, 12, 32, 32, 3).transpose(0, 3, 1, 2).reshape(12, -1)
        (local / name).write_bytes(pickle.dumps({"data": flat, "labels": [row % 10 for row in range(12)]}))
        digests[name] = hashlib.md5((local / name).read_bytes(), usedforsecurity=False).hexdigest()
    meta = pickle.dumps({"label_names": [f"class {i}" for i in range(10)]})
    (local / "batches.meta").write_bytes(meta)
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", digests["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", digests["test_batch"]]])
    digest = hashlib.md5(meta, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": digest})
    name = "hub:datasets/uoft-cs/cifar10"
    from_hub = cifar(name="cifar10", data=Source(sources, name), mean=MEAN, std=STD, crop_padding=4, flip=True)
    local_sources = Sources(data={"cifar10": tmp_path / "local"})
    from_files = cifar(name="cifar10", data=Source(local_sources, name), mean=MEAN, std=STD)
    for split in ("train", "test"):
        assert content_hash(from_hub.load(split)) == content_hash(from_files.load(split))
    assert from_hub.load("train").fixed is False  # type: ignore[attr-defined]
    assert from_hub.load("test").fixed is True  # type: ignore[attr-defined]
    assert from_hub.load("test").labels.tolist() == [row % 10 for row in range(12)]
    (local / "test_batch").write_bytes(b"other")
    with pytest.raises(NoDataError, match="does not hold a complete cifar-10-batches-py"):
        cifar(name="cifar10", data=Source(local_sources, name), mean=MEAN, std=STD).load("test")


BROKEN = {
    "no image": (b"nothing", "row 0 is not an image"),
    "cut": (png(pixels(0, 32, 32, 3))[:900], "row 0 is not an image"),
    "gray": (png(pixels(0, 32, 32)), "row 0 is L, 32 x 32, expected RGB, 32 x 32"),
    "small": (png(pixels(0, 16, 32, 3)), "row 0 is RGB, 32 x 16, expected RGB, 32 x 32"),
}


@pytest.mark.parametrize(("image", "message"), BROKEN.values(), ids=BROKEN)
def test_a_bad_image_is_reported_with_its_row(image: bytes, message: str, hub: tuple[LocalHub, Sources]) -> None:
    server, sources = hub
    server.add("datasets", "uoft-cs/cifar100", cifar_files("cifar100", "fine_label", 100, 4, [image]))
    task = cifar(name="cifar100", data=Source(sources, "hub:datasets/uoft-cs/cifar100"), mean=MEAN, std=STD)
    with pytest.raises(IntegrityError, match=f"cifar100: test: {message}"):
        task.load("test")


def test_a_label_out_of_range_and_an_unknown_name_are_reported(hub: tuple[LocalHub, Sources]) -> None:
    server, sources = hub
    server.add("datasets", "uoft-cs/cifar10", cifar_files("plain_text", "label", 12, 12))
    source = Source(sources, "hub:datasets/uoft-cs/cifar10")
    with pytest.raises(IntegrityError, match="row 10 has the label 10, which is not in 0 to 9"):
        cifar(name="cifar10", data=source, mean=MEAN, std=STD).load("test")
    with pytest.raises(UsageError, match="cifar has no task 'cifar'; did you mean cifar10, cifar100"):
        cifar(name="cifar", data=source, mean=MEAN, std=STD)


def test_a_data_set_with_the_classes_in_another_order_is_refused(hub: tuple[LocalHub, Sources]) -> None:
    server, sources = hub
    wrong = "the class '{}' has the number 1, expected 0"
    for declared, message in (
        ("automobile", ""), ("Automobile", ""), ("autmobile", ""),
        ("airplane", wrong.format("airplane")), ("Airplane", wrong.format("Airplane")),
    ):  # fmt: skip
        files = cifar_files("plain_text", "label", 10, 12)
        files["README.md"] = files["README.md"].replace(b'"class 1"', f'"{declared}"'.encode())
        server.add("datasets", f"someone/{declared}", files)
        name = f"hub:datasets/someone/{declared}"
        task = cifar(name="cifar10", data=Source(sources, name), mean=MEAN, std=STD)
        if not message:
            assert task.load("test").labels.tolist() == [row % 10 for row in range(12)]
            continue
        with pytest.raises(IntegrityError, match=message):
            task.load("test")
