"""Images in one folder per class, as ImageNet has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torchvision.transforms import v2

from zoo.class_names import ClassMatch, match_labels
from zoo.errors import UsageError, errors_about
from zoo.fetch.sources import Source
from zoo.files import is_hidden
from zoo.tasks.base import Task
from zoo.tasks.image_split import ImageSplit
from zoo.tasks.images import local_folder, with_normalization
from zoo.tasks.labels import Classes, class_names

FOLDERS = "; `train` and `val` of the task name its folders"
TOP = 5
"""With at most this many classes, the top-5 accuracy is always 1."""
SIZE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, as torchvision's models expect them."""


def image_folder(
    *,
    data: Source,
    train_transforms: Sequence[Any] | None = None,
    eval_transforms: Sequence[Any] | None = None,
    size: int | None = None,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    classes: Classes = (),
    train: str = "train",
    val: str | None = "val",
) -> Task:
    """Return a classification task over images in folders `SPLIT/CLASS/`.

    Subfolders of a class belong to it, also linked ones. Hidden files and folders are left out.

    The split `val` is scored. After the transforms an image is float32 `(3, H, W)`, normalized as `(x - mean) / std`
    with `x` in [0, 1].

    Args:
        data: The folder that holds the folders of both splits.
        train_transforms: Transforms of `torchvision.transforms.v2` for the split `train`, applied in order to the
            decoded RGB image. Random transforms are drawn anew for every image and epoch. Default:
            `RandomResizedCrop` to `size` and `RandomHorizontalFlip`.
        eval_transforms: The same for the split `val`. Default: `Resize` to 8/7 of `size` and `CenterCrop` to `size`.
        size: The side of an image after the default transforms. Default: 224.
        mean: Mean of each channel. Default: that of ImageNet.
        std: Standard deviation of each channel. Default: that of ImageNet.
        classes: The names of the classes, in the order of the model's outputs, which the folders are matched with; or
            their number; more than five also have a top-5 accuracy. A split may lack a class that is listed by its
            name. Default: the folders, sorted by their names.
        train: The name of the split for training, and of its folder.
        val: The name of the scored split, and of its folder; null if only a hold-out is scored.

    Raises:
        NoDataError: The folder is missing or incomplete.
        UsageError: A class has no folder, or a split does not have all classes, which would shift the labels.
    """
    Source.needed(data)
    listed = class_names(classes)
    number = classes if isinstance(classes, int) else len(listed)
    folders = _ClassFolders(data=data, classes=classes, listed=listed, splits=(train, val) if val else (train,))
    augmented, plain = _transforms(train_transforms, eval_transforms, size)

    def load(split: str, *, trains: bool) -> ImageSplit:
        transform = with_normalization(augmented if trains else plain, mean, std)
        return folders.load(split, transform, fixed=not trains or not augmented)

    return Task(
        name="image_folder",
        splits={split: partial(load, split, trains=split == train) for split in folders.splits},
        plain={train: partial(load, train, trains=False)},
        scored=(val,) if val else (),
        metrics=("accuracy", "top5_accuracy") if (number or TOP) > TOP else ("accuracy",),
        label_names=listed,
        sources=((data, "data"),),
    )


def with_defaults(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the task of a recipe as plain data, for `image_folder` with the arguments that the recipe leaves out."""
    if task["use"] != "image_folder":
        return task
    size = task.get("size") or SIZE
    augmented = [{"use": "RandomResizedCrop", "size": size}, {"use": "RandomHorizontalFlip"}]
    plain = [{"use": "Resize", "size": _resized(size)}, {"use": "CenterCrop", "size": size}]
    defaults = {"train_transforms": augmented, "eval_transforms": plain, "mean": list(MEAN), "std": list(STD)}
    written = {name: value for name, value in task.items() if value is not None}
    return {**defaults, **written}


def _transforms(
    augmented: Sequence[Any] | None, plain: Sequence[Any] | None, size: int | None
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the transforms for training and for scoring."""
    if augmented is not None and plain is not None:
        if size is not None:
            message = "size is for the default transforms; leave it out, or both lists of transforms"
            raise UsageError(message).about("size")
        return augmented, plain
    if augmented is not None or plain is not None:
        lacking = "train_transforms" if augmented is None else "eval_transforms"
        raise UsageError(f"{lacking} is missing; write both lists of transforms, or leave out both and choose `size`")
    side = SIZE if size is None else size
    if side < 1:
        raise UsageError(f"size must be at least 1, not {side}").about("size")
    return (
        [v2.RandomResizedCrop(side), v2.RandomHorizontalFlip()],
        [v2.Resize(_resized(side)), v2.CenterCrop(side)],
    )


def _resized(size: int) -> int:
    """Return the side of an image before the center crop, in the proportion of torchvision's references."""
    return round(size * 256 / 224)


@dataclass(frozen=True, kw_only=True)
class _ClassFolders:
    """The folders `SPLIT/CLASS/` of a data set.

    Attributes:
        classes: The classes in the recipe.
        listed: Their names; empty if the recipe has only their number, or nothing.
        splits: The names of the splits.
    """

    data: Source
    classes: Classes
    listed: tuple[str, ...]
    splits: tuple[str, ...]

    def load(self, split: str, transform: Any, *, fixed: bool) -> ImageSplit:
        """Read the names of all images of a split."""
        with errors_about("data"):
            root = local_folder(self.data, ["{split}/*/*"], self.splits, split, FOLDERS)
        folders = {name: _class_names(root / name) for name in self.splits if (root / name).is_dir()}
        if self.listed:
            with errors_about("classes"):
                match, notes = self._match(root, folders, split)
            names, labels = self.listed, match.positions
        else:
            self._check_same(root, folders, split)
            names, labels, notes = tuple(folders[split]), tuple(range(len(folders[split]))), ()
        labelled = [(root / split / name, label) for name, label in zip(folders[split], labels, strict=True)]
        return ImageSplit(root / split, labelled, transform, classes=names, fixed=fixed, notes=notes)

    def _match(
        self, root: Path, folders: Mapping[str, Sequence[str]], split: str
    ) -> tuple[ClassMatch, tuple[str, ...]]:
        """Find the folders of a split in the classes of the recipe; also return what a user should know of that."""
        matches = {
            name: match_labels(found, self.listed, side=f"the folder {root / name}", other="the recipe")
            for name, found in folders.items()
        }
        has_folder = {position for match in matches.values() for position in match.positions}
        absent = [name for position, name in enumerate(self.listed) if position not in has_folder]
        if absent:
            advice = "add the folder, or leave the class out of `classes`"
            where = " or in ".join(str(root / name) for name in folders)
            raise UsageError(f"there is no folder for the class {absent[0]!r} in {where}; {advice}")
        lacking = [name for position, name in enumerate(self.listed) if position not in matches[split].positions]
        note = f"{split} has no images of {len(lacking)} of the classes: {', '.join(lacking[:3])}" if lacking else None
        return matches[split], tuple(filter(None, (matches[split].note, note)))

    def _check_same(self, root: Path, folders: Mapping[str, Sequence[str]], split: str) -> None:
        """Raise UsageError unless all splits have the same classes, as many as the recipe says."""
        names, known = folders[split], sorted({name for found in folders.values() for name in found})
        missing = [name for name in known if name not in names]
        if isinstance(self.classes, int) and len(names) != self.classes:
            example = f"; {missing[0]} is missing" if missing else ""
            count = f"{len(names)} folders of classes, expected {self.classes}"
            raise UsageError(f"{root / split}: {count}{example}").about("classes")
        for other, found in folders.items():
            if differing := sorted(set(found) ^ set(names)):
                advice = "add the folders, or list the names of all classes in `classes`"
                raise UsageError(
                    f"{root}: {split} and {other} do not hold the same classes: {', '.join(differing[:3])}; {advice}"
                ).about("classes")


def _class_names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))
