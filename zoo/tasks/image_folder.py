"""Images in one folder per class, as ImageNet has them."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from zoo.fetch.sources import Source
from zoo.preprocessing import Preprocessing
from zoo.tasks.base import Task
from zoo.tasks.class_folders import ClassFolders
from zoo.tasks.class_list import ClassList, chosen_classes, listed_classes
from zoo.tasks.image_defaults import MEAN, STD
from zoo.tasks.image_split import ImageSplit
from zoo.tasks.image_transforms import ImageTransforms, image_metrics
from zoo.tasks.labels import class_names


def image_folder(
    *,
    data: Source,
    train_transforms: Sequence[Any] | None = None,
    eval_transforms: Sequence[Any] | None = None,
    size: int | None = None,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    preprocessing: Preprocessing | None = None,
    classes: ClassList = (),
    only: Sequence[str | int | float] | Source = (),
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
        preprocessing: The preprocessing that is published with a model. It replaces the other arguments for transforms,
            except that `train_transforms`, none by default, come before it.
        classes: The names of the classes, in the order of the model's outputs, which the folders are matched with; or
            a local file with one name a line; or their number. More than five also have a top-5 accuracy. The data may
            lack folders of classes that are listed by their names. Default: the folders, sorted by their names.
        only: The names of the folders to read, or a local file with one a line. The labels keep the positions of the
            model's outputs. Default: all folders.
        train: The name of the split for training, and of its folder.
        val: The name of the scored split, and of its folder; null if only a hold-out is scored.

    Raises:
        NoDataError: The folder is missing or incomplete.
        UsageError: A folder is no class that is listed, or a split does not have all classes, which would shift the
            labels.
    """
    Source.needed(data)
    named = listed_classes(classes)
    listed, chosen = class_names(named), chosen_classes(only)
    folders = ClassFolders(
        data=data, classes=named, listed=listed, splits=(train, val) if val else (train,), only=chosen
    )  # fmt: skip
    transforms = ImageTransforms(
        train=train_transforms, evaluation=eval_transforms, size=size, mean=mean, std=std, preprocessing=preprocessing
    )

    def load(split: str, *, trains: bool) -> ImageSplit:
        return folders.load(split, transforms.of(trains=trains), fixed=not (trains and transforms.is_random))

    return Task(
        name="image_folder",
        splits={split: partial(load, split, trains=split == train) for split in folders.splits},
        plain={train: partial(load, train, trains=False)},
        scored=(val,) if val else (),
        metrics=image_metrics(named if isinstance(named, int) else len(listed)),
        subsets={split: cache(partial(folders.scoring, split)) for split in folders.splits} if chosen else {},
        label_names=listed,
        sources=((data, "data"), *transforms.sources),
    )
