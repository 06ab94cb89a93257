"""Images in folders, one folder a class: ImageNet, and anything laid out like it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from zoo.errors import SourceError, UsageError
from zoo.fetch.sources import Source
from zoo.tasks.base import CPU, Batch, Task
from zoo.tasks.images import local_folder, normalised, read_rgb


def image_folder(
    *,
    data: Source,
    classes: int,
    train_transforms: Sequence[Any],
    eval_transforms: Sequence[Any],
    mean: Sequence[float],
    std: Sequence[float],
    train: str = "train",
    val: str = "val",
) -> Task:
    """A class for every folder of the splits `train` and `val`, in the order of their names; scored on `val`.

    Transforms are those of `torchvision.transforms.v2`, given the decoded RGB image in their order; then it becomes
    float32 `(3, H, W)` in [0, 1], less `mean`, over `std`. Random ones are drawn anew for every example and epoch. Each
    split must hold a folder of every one of the `classes`, or its labels would not be the model's: UsageError. Raises
    NoDataError where the data are not there.
    """

    Source.needed(data)

    def load(split: str) -> "ImageSplit":
        root = local_folder(data, ["{split}/*/*"], (train, val), split)
        others = [root / name for name in (train, val) if name != split and (root / name).is_dir()]
        found = _classes(root / split)
        if len(found) != classes:
            lacks = sorted({name for other in others for name in _classes(other)} - set(found))
            example = f"; there is no {lacks[0]}" if lacks else ""
            raise UsageError(f"{root / split}: {len(found)} folders of classes, expected {classes}{example}")
        for other in others:
            if differ := sorted(set(_classes(other)) ^ set(found)):
                raise UsageError(
                    f"{root}: {split} and {other.name} do not hold the same classes: {', '.join(differ[:3])}"
                )
        transforms = train_transforms if split == train else eval_transforms
        fixed = split != train or not train_transforms
        return ImageSplit(root / split, found, normalised(transforms, mean, std), fixed=fixed)

    return Task(
        name="image_folder",
        splits={split: partial(load, split) for split in (train, val)},
        scored=(val,),
        metrics=("accuracy", "top5_accuracy"),
        sources=((data, "data"),),
    )


class ImageSplit:
    """A folder of folders of images, read when they are asked for; `fixed` says that no transform is random."""

    def __init__(self, folder: Path, classes: Sequence[str], transform: Any, *, fixed: bool) -> None:
        self.folder, self.transform, self.fixed, self.classes = folder, transform, fixed, tuple(classes)
        self.samples = [(path, label) for label, name in enumerate(classes) for path in _images(folder / name)]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labels(self) -> Tensor:
        return torch.tensor([label for _, label in self.samples], dtype=torch.int64)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        at = list(indices)
        with ThreadPoolExecutor() as pool:  # decoding runs side by side, drawing random numbers in order
            images = list(pool.map(read_rgb, [self.samples[i][0] for i in at]))
        inputs = torch.stack([torch.as_tensor(self.transform(image)) for image in images])
        labels = torch.tensor([self.samples[i][1] for i in at], dtype=torch.int64)
        return Batch(inputs=inputs, labels=labels, ids=torch.tensor(at, dtype=torch.int64)).to(device)

    def rows(self) -> Iterator[bytes]:
        """Path, size in bytes and label of every image: to read all of ImageNet takes longer than to score it."""
        for path, label in self.samples:
            yield f"{path.relative_to(self.folder).as_posix()}\t{path.stat().st_size}\t{label}".encode()


def _classes(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())


def _images(folder: Path) -> list[Path]:
    """The images below a class's folder, in torchvision's order; raises SourceError where there are none."""
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in IMG_EXTENSIONS)
    found = sorted(paths, key=lambda path: (str(path.parent), path.name))
    if not found:
        raise SourceError(f"{folder}: there are no images")
    return found
