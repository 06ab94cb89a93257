"""Images in one folder per class, as ImageNet has them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from zoo.class_names import match_labels
from zoo.errors import SourceError, UsageError
from zoo.fetch.remembered_digests import remembered_digests
from zoo.fetch.sources import Source
from zoo.files import files_below, is_hidden
from zoo.tasks.base import CPU, Batch, Task
from zoo.tasks.images import local_folder, read_rgb, with_normalization
from zoo.tasks.labels import Classes, class_names

TOP = 5
"""With at most this many classes, the top-5 accuracy is always 1."""


def image_folder(
    *,
    data: Source,
    train_transforms: Sequence[Any],
    eval_transforms: Sequence[Any],
    mean: Sequence[float],
    std: Sequence[float],
    classes: Classes = (),
    train: str = "train",
    val: str = "val",
) -> Task:
    """Return a classification task over images in folders `SPLIT/CLASS/`.

    Subfolders of a class belong to it, also linked ones. Hidden files and folders are left out.

    The split `val` is scored. After the transforms an image is float32 `(3, H, W)`, normalized as `(x - mean) / std`
    with `x` in [0, 1].

    Args:
        data: The folder that holds the folders of both splits.
        train_transforms: Transforms of `torchvision.transforms.v2` for the split `train`, applied in order to the
            decoded RGB image. Random transforms are drawn anew for every image and epoch.
        eval_transforms: The same for the split `val`.
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        classes: The names of the classes, in the order of the model's outputs, which the folders are matched with; or
            their number; more than five also have a top-5 accuracy. Both splits must have the same classes. Default:
            the folders, sorted by their names.
        train: The name of the split for training, and of its folder.
        val: The name of the scored split, and of its folder.

    Raises:
        NoDataError: The folder is missing or incomplete.
        UsageError: A split does not have all classes, which would shift the labels.
    """

    Source.needed(data)
    listed = class_names(classes)
    number = classes if isinstance(classes, int) else len(listed)

    def load(split: str, *, trains: bool) -> "ImageSplit":
        root = local_folder(data, ["{split}/*/*"], (train, val), split)
        others = [root / name for name in (train, val) if name != split and (root / name).is_dir()]
        names = _class_names(root / split)
        if isinstance(classes, int) and len(names) != classes:
            missing = sorted({name for other in others for name in _class_names(other)} - set(names))
            example = f"; {missing[0]} is missing" if missing else ""
            raise UsageError(f"{root / split}: {len(names)} folders of classes, expected {classes}{example}")
        for other in others:
            if differing := sorted(set(_class_names(other)) ^ set(names)):
                raise UsageError(
                    f"{root}: {split} and {other.name} do not hold the same classes: {', '.join(differing[:3])}"
                )
        transforms = train_transforms if trains else eval_transforms
        fixed = not trains or not train_transforms
        transform = with_normalization(transforms, mean, std)
        if not listed:
            return ImageSplit(root / split, names, transform, fixed=fixed)
        match = match_labels(names, listed, side=f"the folder {root / split}", other="the recipe")
        return ImageSplit(root / split, names, transform, fixed=fixed, labels=match.positions, note=match.note)

    return Task(
        name="image_folder",
        splits={split: partial(load, split, trains=split == train) for split in (train, val)},
        plain={train: partial(load, train, trains=False)},
        scored=(val,),
        metrics=("accuracy", "top5_accuracy") if (number or TOP) > TOP else ("accuracy",),
        label_names=listed,
        sources=((data, "data"),),
    )


class ImageSplit:
    """Images in one folder per class, decoded when a batch needs them.

    Args:
        folder: The folder of the split.
        classes: The names of the class folders.
        transform: Turns a decoded RGB image into a tensor `(3, H, W)`.
        fixed: True if no transform is random.
        labels: The label of each class folder. Default: their positions.
        note: What a user should know about how the folders were matched with the classes.
    """

    def __init__(
        self,
        folder: Path,
        classes: Sequence[str],
        transform: Any,
        *,
        fixed: bool,
        labels: Sequence[int] = (),
        note: str | None = None,
    ) -> None:
        self.folder, self.transform, self.fixed = folder, transform, fixed
        self.classes, self.class_notes = tuple(classes), (note,) if note else ()
        labelled = list(zip(classes, labels or range(len(classes)), strict=True))
        self.samples = [(path, label) for name, label in labelled for path in _image_files(folder / name)]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labels(self) -> Tensor:
        return torch.tensor([label for _, label in self.samples], dtype=torch.int64)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        ids = list(indices)
        with ThreadPoolExecutor() as pool:  # only decoding is parallel: transforms must draw random numbers in order
            images = list(pool.map(read_rgb, [self.samples[i][0] for i in ids]))
        inputs = torch.stack([torch.as_tensor(self.transform(image)) for image in images])
        labels = torch.tensor([self.samples[i][1] for i in ids], dtype=torch.int64)
        return Batch(inputs=inputs, labels=labels, ids=torch.tensor(ids, dtype=torch.int64)).to(device)

    def rows(self) -> Iterator[bytes]:
        """Yield path, SHA-256 and label of every image. Files are read once and again when they change."""
        digests = remembered_digests([path for path, _ in self.samples], self.folder)
        for (path, label), digest in zip(self.samples, digests, strict=True):
            yield f"{path.relative_to(self.folder).as_posix()}\t{digest}\t{label}".encode(errors="surrogateescape")


def _class_names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))


def _image_files(folder: Path) -> list[Path]:
    """List the images of a class, also in linked and other subfolders, in torchvision's order.

    Hidden files and folders are left out, such as `._0.png` of macOS and `.ipynb_checkpoints` of notebooks.

    Raises:
        SourceError: There are no images, or a folder cannot be listed.
    """
    try:
        paths = [path for path in files_below(folder, hidden=False) if path.suffix.lower() in IMG_EXTENSIONS]
    except OSError as error:
        raise SourceError(f"{error.filename or folder}: {error.strerror or error}") from None
    images = sorted(paths, key=lambda path: (str(path.parent), path.name))
    if not images:
        raise SourceError(f"{folder}: there are no images")
    return images
