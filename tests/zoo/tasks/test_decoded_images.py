"""Decoded images that the models of one command share."""

import errno
import os
from pathlib import Path

import pytest
import torch
from torchvision.transforms import v2

from tests.helpers.vision_data import image_folders
from zoo.fetch.sources import Source, Sources
from zoo.tasks import image_folder, image_split
from zoo.tasks.decoded_images import DecodedImages
from zoo.tasks.image_split import ImageSplit

PIXELS = torch.arange(3 * 4 * 5, dtype=torch.uint8).view(3, 4, 5)


def split_of(root: Path, mean: tuple[float, ...] = (0.5, 0.5, 0.5)) -> ImageSplit:
    transforms = {"train_transforms": [], "eval_transforms": [v2.Resize(20), v2.CenterCrop(16)]}
    task = image_folder(data=Source(Sources(), f"file:{root}"), classes=3, mean=mean, **transforms)
    split = task.load("val")
    assert isinstance(split, ImageSplit)
    return split


def test_stored_pixels_come_back_to_the_bit(tmp_path: Path) -> None:
    store = DecodedImages(3, tmp_path)
    assert store.get(1) is None
    store.put(1, PIXELS)
    store.put(2, 255 - PIXELS)
    assert store.get(0) is None
    assert [torch.equal(store.get(row), pixels) for row, pixels in ((1, PIXELS), (2, 255 - PIXELS))] == [True, True]
    assert not list(tmp_path.iterdir())  # the file has no name
    store.close()
    assert store.get(1) is None


@pytest.mark.parametrize("other", [PIXELS.float(), PIXELS[:, :3]])
def test_pixels_of_another_type_or_shape_are_not_stored(tmp_path: Path, other: torch.Tensor) -> None:
    store = DecodedImages(2, tmp_path)
    store.put(0, PIXELS)
    store.put(1, other)
    assert store.get(1) is None
    store.close()


def test_too_many_pixels_are_not_stored_and_the_reason_names_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_DECODED", "0.0000001")
    store = DecodedImages(2, tmp_path)
    store.put(0, PIXELS)
    assert store.get(0) is None
    assert store.problem.startswith("all decoded images would take 1.2e-07 GB, and ZOO_MAX_DECODED allows 1e-07")
    store.close()


def test_a_full_disk_ends_the_storing_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = DecodedImages(3, tmp_path)
    store.put(0, PIXELS)
    monkeypatch.setattr(os, "pwrite", fails)
    store.put(1, PIXELS)
    assert store.get(0) is not None
    assert store.get(1) is None
    assert "No space left on device" in store.problem
    store.close()


def test_models_with_other_normalizations_share_images_and_read_the_same_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, store = image_folders(tmp_path / "images"), DecodedImages(6, tmp_path)
    read, decoded = image_split.read_rgb, []
    monkeypatch.setattr(image_split, "read_rgb", lambda path: decoded.append(path) or read(path))
    for mean in ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3)):
        alone = split_of(root, mean).batch(range(6)).inputs
        decoded.clear()
        shared = split_of(root, mean)
        shared.decoded = store
        assert torch.equal(shared.batch([4, 1]).inputs, alone[[4, 1]])
        assert torch.equal(shared.batch(range(6)).inputs, alone)
    assert decoded == []  # all of them were stored by the first split
    store.close()
