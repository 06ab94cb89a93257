"""Images in folders, one folder a class: ImageNet, and anything laid out like it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from zoo.errors import SourceError, UsageError
from zoo.tasks.base import Batch, Task

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def image_folder(
    *,
    root: str,
    train_transforms: Sequence[Any],
    eval_transforms: Sequence[Any],
    train: str = "train",
    test: str = "val",
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Task:
    """A class for every folder of `root/train`, in the order of their names; scored on `root/test`.

    Transforms are those of `torchvision.transforms.v2`, given the decoded RGB image in their order; then it becomes
    float32 `(3, H, W)` in [0, 1], less `mean`, over `std`. Random ones are drawn anew for every example and epoch.
    Raises SourceError where a folder is missing, and UsageError where the two do not hold the same classes.
    """
    folder = Path(root).expanduser()
    classes = _classes(folder / train)
    if (others := _classes(folder / test)) != classes:
        differ = ", ".join(sorted(set(classes) ^ set(others))[:3])
        raise UsageError(f"{folder}: {train} and {test} do not hold the same classes: {differ}")
    end = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))]
    return Task(
        name="image_folder",
        splits={
            train: lambda: ImageSplit(folder / train, [*train_transforms, *end], fixed=not train_transforms),
            test: lambda: ImageSplit(folder / test, [*eval_transforms, *end], fixed=True),
        },
        scored=(test,),
        metrics=("accuracy",),
        label_names=tuple(classes),
    )


class ImageSplit:
    """A folder of folders of images, read when they are asked for; `fixed` says that no transform is random."""

    def __init__(self, folder: Path, transforms: Sequence[Any], *, fixed: bool) -> None:
        self.folder, self.data, self.fixed = folder, ImageFolder(str(folder)), fixed
        self.transform = v2.Compose(list(transforms))

    def __len__(self) -> int:
        return len(self.data)

    @property
    def labels(self) -> Tensor:
        return torch.tensor(self.data.targets, dtype=torch.int64)

    def batch(self, indices: Sequence[int]) -> Batch:
        at = list(indices)
        with ThreadPoolExecutor() as pool:  # decoding runs side by side, drawing random numbers in order
            images = list(pool.map(self.data.loader, [self.data.samples[i][0] for i in at]))
        inputs = torch.stack([torch.as_tensor(self.transform(image)) for image in images])
        labels = torch.tensor([self.data.targets[i] for i in at], dtype=torch.int64)
        return Batch(inputs=inputs, labels=labels, ids=torch.tensor(at, dtype=torch.int64))

    def rows(self) -> Iterator[bytes]:
        """Path, size in bytes and label of every image: to read all of ImageNet takes longer than to score it."""
        for path, label in self.data.samples:
            file = Path(path)
            yield f"{file.relative_to(self.folder).as_posix()}\t{file.stat().st_size}\t{label}".encode()


def _classes(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror or error}") from None
