"""The transforms of images, in both formats, and the task's arguments that they become."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import Mark, Problem
from zoo.importers.torchdistill.items import BlockedError, Called, Imported, Item

COMPOSE = ("Compose", "CustomCompose")
TO_TENSOR = ("ToTensor", "CustomToTensor", "ToImage")
NORMALIZE = ("Normalize", "CustomNormalize")
RESIZE_PAIR, FLIP_PAIR, CROP_PAIR, CENTER_PAIR = (
    "CustomRandomResize", "CustomRandomHorizontalFlip", "CustomRandomCrop", "CustomCenterCrop",
)  # fmt: skip
SIDE = 32
"""The side of CIFAR's images."""


@dataclass(frozen=True, kw_only=True)
class Transform:
    """One transform."""

    name: str
    kwargs: Mapping[str, Item]
    mark: Mark

    def blocked(self, message: str) -> BlockedError:
        """Return the error that says why this transform cannot be converted."""
        return BlockedError(Problem(self.mark, message))


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The transforms before the last two steps, and the normalization."""

    transforms: tuple[Transform, ...]
    mean: list[float]
    std: list[float]


def transforms_of_call(item: Item) -> tuple[Transform, ...]:
    """Return the transforms of a call of `Compose`, or of a single transform."""
    call = item.value
    if not isinstance(call, Called):
        raise item.blocked(f"expected a call of a transform, found {item.shown}")
    name = call.name.rpartition(".")[2]
    if name not in COMPOSE:
        if call.args:
            raise item.blocked(f"write the arguments of {name} by their names, as kwargs")
        return (Transform(name=name, kwargs=call.kwargs, mark=item.mark),)
    steps = call.kwargs.get("transforms") or (call.args[0] if call.args else None)
    return tuple(one for step in (steps.list if steps else ()) for one in transforms_of_call(step))


def transforms_of_list(item: Item) -> tuple[Transform, ...]:
    """Return the transforms of the older format, `{key: NAME, kwargs: {...}}`."""
    return tuple(
        Transform(name=step.need("key").text, kwargs=kwargs.mapping if (kwargs := step.get("kwargs")) else {},
                  mark=step.mark)
        for step in item.list
    )  # fmt: skip


def pipeline_of(transforms: Sequence[Transform], mark: Mark) -> Pipeline:
    """Split the conversion to a tensor and the normalization off; raises BlockedError if they are not the last two."""
    *first, to_tensor, normalize = transforms if len(transforms) >= 2 else (None, None)
    if to_tensor is None or normalize is None or to_tensor.name not in TO_TENSOR or normalize.name not in NORMALIZE:
        message = "the transforms must end with ToTensor and Normalize, with which every task of zoo ends"
        raise BlockedError(Problem(mark, message))
    values = Item(value=normalize.kwargs, mark=normalize.mark)
    mean, std = ([float(number.number) for number in values.need(name).list] for name in ("mean", "std"))
    return Pipeline(transforms=tuple(one for one in first if one is not None), mean=mean, std=std)


def cifar_arguments(pipeline: Pipeline) -> dict[str, Any]:
    """Return the arguments of the task `cifar` for the transforms of the split that trains."""
    arguments: dict[str, Any] = {}
    for transform in pipeline.transforms:
        kwargs = Item(value=transform.kwargs, mark=transform.mark)
        if transform.name == "RandomCrop" and _sides(kwargs.need("size")) == {SIDE} and "crop_padding" not in arguments:
            kwargs.check_keys(("size", "padding"), "RandomCrop of CIFAR's images")
            arguments["crop_padding"] = kwargs.need("padding").at_least(0)
        elif transform.name == "RandomHorizontalFlip" and _probability(kwargs) == 0.5 and "flip" not in arguments:
            kwargs.check_keys(("p",), "RandomHorizontalFlip of CIFAR's images")
            arguments["flip"] = True
        else:
            message = f"{transform.name}: the task cifar has RandomCrop of 32 with padding, then RandomHorizontalFlip"
            raise transform.blocked(f"{message} with p = 0.5, and no other transforms")
    return arguments


def calls_of(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Return transforms as calls of a recipe."""
    return [call for transform in pipeline.transforms for call in _calls(transform)]


def _calls(transform: Transform) -> Iterator[dict[str, Any]]:
    kwargs = Item(value=transform.kwargs, mark=transform.mark)
    if transform.name == RESIZE_PAIR:
        kwargs.check_keys(("min_size", "max_size", "square", "jpeg_quality"), transform.name)
        if kwargs.get("square") is not None or kwargs.get("jpeg_quality") is not None:
            raise transform.blocked("ShorterSide has no 'square' and no 'jpeg_quality'; leave them out")
        least = kwargs.need("min_size").whole
        most = largest.whole if (largest := kwargs.get("max_size")) else least
        sizes = {"min_size": least, **({"max_size": most} if most != least else {})}
        yield {"use": "zoo.tasks.transforms.ShorterSide", **sizes}
    elif transform.name == CROP_PAIR:
        size = kwargs.need("size").whole
        yield {"use": "zoo.tasks.transforms.PadTo", "size": size}
        yield {"use": "RandomCrop", "size": size}
    else:
        names = {FLIP_PAIR: "RandomHorizontalFlip", CENTER_PAIR: "CenterCrop"}
        arguments = {key: _argument(item) for key, item in transform.kwargs.items()}
        yield {"use": names.get(transform.name, transform.name), **arguments}


def _argument(item: Item) -> Any:
    if isinstance(item.value, Imported):  # such as InterpolationMode.BICUBIC
        return item.value.name.rpartition(".")[2].lower()
    return item.plain


def side_of(pipeline: Pipeline, kind: str) -> int:
    """Return the side of the images after the transforms; 0 if the transforms do not fix it."""
    if kind.startswith("cifar"):
        return SIDE
    crops = [transform for transform in pipeline.transforms if "Crop" in transform.name and "size" in transform.kwargs]
    sides = _sides(crops[-1].kwargs["size"]) if crops else set()
    return sides.pop() if len(sides) == 1 else 0


def _sides(item: Item) -> set[int]:
    return {side.whole for side in item.list} if isinstance(item.value, tuple) else {item.whole}


def _probability(kwargs: Item) -> float:
    return p.number if (p := kwargs.get("p")) else 0.5
