"""The transforms of the tasks over images: those of a recipe, the default ones, or those published with a model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torchvision.transforms import v2

from zoo.errors import UsageError
from zoo.fetch.sources import Source
from zoo.preprocessing import Preprocessing
from zoo.tasks.image_defaults import MEAN, SIZE, STD, resized
from zoo.tasks.images import Preparation, check_transforms, preparation

TOP = 5
"""With at most this many classes, the top-5 accuracy is always 1."""


@dataclass(frozen=True, kw_only=True)
class ImageTransforms:
    """The transforms of a task. The arguments are those of `image_folder`.

    Raises:
        UsageError: Arguments do not go together.
    """

    train: Sequence[Any] | None
    evaluation: Sequence[Any] | None
    size: int | None
    mean: Sequence[float]
    std: Sequence[float]
    preprocessing: Preprocessing | None

    def __post_init__(self) -> None:
        if self.preprocessing is not None:
            self._check_alone()
            check_transforms(self.train or ())
            return
        for transforms in self._lists():
            check_transforms(transforms)

    def of(self, *, trains: bool) -> Preparation:
        """Return the preparation of an image, for training or for scoring; published settings are read now."""
        if self.preprocessing is None:
            return preparation(self._lists()[0 if trains else 1], self.mean, self.std)
        published = self.preprocessing.load()
        if not (trains and self.train):
            return published
        return replace(published, pixels=v2.Compose([*self.train, published.pixels]))

    @property
    def is_random(self) -> bool:
        """Whether images for training are read differently in each epoch."""
        return bool(self.train if self.preprocessing is not None else self._lists()[0])

    @property
    def sources(self) -> tuple[tuple[Source, str], ...]:
        """What is fetched, as `Task.sources`."""
        return () if self.preprocessing is None else ((self.preprocessing.of, "preprocessing"),)

    def _check_alone(self) -> None:
        """Raise UsageError for an argument that the published preprocessing replaces."""
        given = {
            "eval_transforms": self.evaluation is not None, "size": self.size is not None,
            "mean": tuple(self.mean) != MEAN, "std": tuple(self.std) != STD,
        }  # fmt: skip
        if name := next((name for name, is_given in given.items() if is_given), None):
            raise UsageError(f"{name}: leave it out, because `preprocessing` decides it").about(name)

    def _lists(self) -> tuple[Sequence[Any], Sequence[Any]]:
        """Return the transforms for training and for scoring."""
        if self.train is not None and self.evaluation is not None:
            if self.size is not None:
                message = "size is for the default transforms; leave it out, or both lists of transforms"
                raise UsageError(message).about("size")
            return self.train, self.evaluation
        if self.train is not None or self.evaluation is not None:
            lacking = "train_transforms" if self.train is None else "eval_transforms"
            raise UsageError(
                f"{lacking} is missing; write both lists of transforms, or leave out both and choose `size`"
            )
        side = SIZE if self.size is None else self.size
        if side < 1:
            raise UsageError(f"size must be at least 1, not {side}").about("size")
        return (
            [v2.RandomResizedCrop(side), v2.RandomHorizontalFlip()],
            [v2.Resize(resized(side)), v2.CenterCrop(side)],
        )


def image_metrics(classes: int) -> tuple[str, ...]:
    """Return the metrics for a number of classes; 0 if it is not known."""
    return ("accuracy", "top5_accuracy") if classes > TOP else ("accuracy",)
