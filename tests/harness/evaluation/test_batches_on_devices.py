"""A batch is on the device that it is read for, with all of its tensors, whatever the split."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torchvision.transforms import v2

from harness.evaluation.holdout import part
from harness.evaluation.subset import SplitSubset
from harness.losses.sskd import RotatedSplit
from tests.helpers.small_texts import WordTokenizer
from tests.helpers.vision_data import image_folders, voc_folder
from zoo.fetch.sources import Source, Sources
from zoo.tasks import digits, image_folder, voc_segmentation
from zoo.tasks.base import Split, read_batch
from zoo.tasks.pixels import PixelSplit
from zoo.tasks.splits import TensorSplit, TextSplit

PLAIN = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
LABELS = torch.arange(4)
KINDS = ("tensors", "texts", "pixels", "random pixels", "images", "masks", "subset", "hold-out", "rotated")


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Split]:
    """A split of every kind, by name."""

    def folder(path: Path) -> Source:
        return Source(Sources(data={"mine": path}), "data:mine")

    root, pixels = tmp_path_factory.mktemp("data"), torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    transforms = {"train_transforms": [], "eval_transforms": [v2.Resize(20), v2.CenterCrop(16)], **PLAIN}
    texts = [("a bb",), ("ccc",), ("dd e f",), ("g",)]
    images = image_folder(data=folder(image_folders(root / "images")), classes=3, **transforms)
    masks = voc_segmentation(data=folder(voc_folder(root / "masks")), train_transforms=[], eval_transforms=[], **PLAIN)
    tensors = TensorSplit(torch.zeros(4, 1, 8, 8), LABELS)
    found = (
        digits().load("test"), TextSplit(texts, LABELS, tokenizer=WordTokenizer(pad=0)),
        PixelSplit(pixels, LABELS, **PLAIN), PixelSplit(pixels, LABELS, padding=1, flip=True, **PLAIN),
        images.load("val"), masks.load("val"), SplitSubset(tensors, (1, 3)), part(tensors, [1, 3]),
        RotatedSplit(tensors),
    )  # fmt: skip
    return dict(zip(KINDS, found, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_all_tensors_of_a_batch_are_on_the_device_that_it_is_read_for(kind: str, splits: Mapping[str, Split]) -> None:
    batch = read_batch(splits[kind], [1, 0], torch.device("meta"))
    inputs = batch.inputs.values() if isinstance(batch.inputs, dict) else [batch.inputs]
    assert {tensor.device.type for tensor in (*inputs, batch.labels, batch.ids)} == {"meta"}
