"""The transforms of images in a training by timm, as torchvision's, and timm's own automatic augmentation.

The order and the probabilities are those of `transforms_imagenet_train` and `transforms_imagenet_eval` in
timm/data/transforms_factory.py.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.importers.settings import Notes, Settings
from zoo.tasks.image_defaults import MEAN, STD

INTERPOLATIONS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
"""Names of timm, and Pillow's numbers, which torchvision takes."""
LEAST_AREA, MOST_AREA, LEAST_ASPECT = 0.02, 1 / 3, 0.3
"""The share and the aspect ratio of the rectangles that timm's random erasing draws."""
ERASED = {"pixel": "random", "const": 0}
"""timm's modes of random erasing, and the value of torchvision's for normalized images."""
AUGMENT = "zoo.tasks.transforms.TimmAutoAugment"
MAX_SIDE = 4096
Transforms = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """How images become inputs of the model."""

    size: tuple[int, int]
    """Height and width."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_pct: float
    crop_mode: str

    @property
    def side(self) -> int | list[int]:
        """The size as torchvision takes it: one number for a square."""
        return self.size[0] if self.size[0] == self.size[1] else list(self.size)


def read_inputs(settings: Settings, defaults: Mapping[str, Any], notes: Notes) -> Inputs:
    """Return how images are read: by the options, else by what timm knows about the model (timm/data/config.py)."""
    _, height, width = defaults.get("input_size") or (3, 224, 224)
    if settings.value("input_size") is not None:
        channels, height, width = settings.numbers("input_size", (3, height, width), (3,))
        if channels != 3:
            notes.refuse(settings.mark("input_size"), "input_size: zoo's tasks have RGB images of 3 channels; write 3")
    elif settings.value("img_size") is not None:
        sides = settings.numbers("img_size", (height,), (1, 2))
        height, width = sides[0], sides[-1]
    if not all(side == int(side) and 1 <= side <= MAX_SIDE for side in (height, width)):
        message = f"the size of an image must be 1 to {MAX_SIDE:,} pixels, not {height:g} x {width:g}"
        notes.refuse(settings.mark("input_size", "img_size"), f"{message}; change it in a copy of the file")
        height = width = 224
    channels_of = {key: _channels(key, settings, defaults.get(key) or (MEAN if key == "mean" else STD), notes)
                   for key in ("mean", "std")}  # fmt: skip
    return Inputs(
        size=(int(height), int(width)), **channels_of,
        interpolation=_interpolation("interpolation", settings, str(defaults.get("interpolation") or "bicubic"), notes),
        crop_pct=settings.number("crop_pct", float(defaults.get("crop_pct") or 0.875), least=0.05),
        crop_mode=settings.text("crop_mode") or str(defaults.get("crop_mode") or "center"),
    )  # fmt: skip


def _channels(name: str, settings: Settings, default: Any, notes: Notes) -> tuple[float, ...]:
    values = settings.numbers(name, default, (1, 3))
    if name == "std" and not all(value > 0 for value in values):
        notes.refuse(settings.mark(name), f"{name} must be above 0; change it in a copy of the file")
    return tuple(float(value) for value in (values * 3 if len(values) == 1 else values))


def _interpolation(option: str, settings: Settings, default: str, notes: Notes) -> str:
    value = settings.text(option) or default
    if value not in (*INTERPOLATIONS, "random"):
        message = f"{option}: {value!r} is unknown; write one of {', '.join(INTERPOLATIONS)}"
        notes.refuse(settings.mark(option), message)
        return "bicubic"
    return value


def train_transforms(settings: Settings, inputs: Inputs, notes: Notes) -> Transforms:
    """Return the transforms of the split that trains, up to the one that makes a tensor."""
    if settings.flag("no_aug"):
        name = _interpolation("interpolation", settings, inputs.interpolation, notes)
        kind = INTERPOLATIONS["bilinear" if name == "random" else name]
        resized = {"use": "Resize", "size": inputs.side, "interpolation": kind}
        return [resized, {"use": "CenterCrop", "size": inputs.side}]
    if (mode := settings.text("train_crop_mode") or "rrc") != "rrc":
        message = f"train_crop_mode: {mode!r} has no equal in torchvision; write `train_crop_mode: rrc` in a copy"
        notes.refuse(settings.mark("train_crop_mode"), message)
    crops = _crops(settings, inputs, notes)
    return [*crops, *_flips(settings), *_colors(settings, inputs, notes)]


def _crops(settings: Settings, inputs: Inputs, notes: Notes) -> Iterator[dict[str, Any]]:
    """Yield the crop of a random part, resized by one interpolation or by one of two at random."""
    scale = settings.numbers("scale", (0.08, 1.0), (2,))
    ratio = settings.numbers("ratio", (3 / 4, 4 / 3), (2,))
    crop = {"use": "RandomResizedCrop", "size": inputs.side, "scale": scale, "ratio": ratio}
    name = _interpolation("train_interpolation", settings, inputs.interpolation, notes)
    if name != "random":
        yield {**crop, "interpolation": INTERPOLATIONS[name]}
    else:
        kinds = (INTERPOLATIONS[name] for name in ("bilinear", "bicubic"))
        yield {"use": "RandomChoice", "transforms": [{**crop, "interpolation": kind} for kind in kinds]}


def _flips(settings: Settings) -> Iterator[dict[str, Any]]:
    if probability := settings.number("hflip", 0.5, least=0):
        yield {"use": "RandomHorizontalFlip", **({"p": probability} if probability != 0.5 else {})}
    if probability := settings.number("vflip", 0.0, least=0):
        yield {"use": "RandomVerticalFlip", **({"p": probability} if probability != 0.5 else {})}


def _colors(settings: Settings, inputs: Inputs, notes: Notes) -> Iterator[dict[str, Any]]:
    policy = settings.text("aa")
    if policy:
        yield _augmentation(policy, settings, inputs, notes)
    jitter = settings.numbers("color_jitter", (0.4,), (1, 3, 4))
    is_off = "color_jitter" in settings.values and settings.value("color_jitter") is None
    if any(jitter) and not is_off and (not policy or "3a" in policy):
        names = ("brightness", "contrast", "saturation", "hue")
        values = zip(names, jitter * 3 if len(jitter) == 1 else jitter, strict=False)
        yield from _at_random(
            {"use": "ColorJitter", **dict(values)}, settings.number("color_jitter_prob", 1.0, least=0)
        )
    if probability := settings.number("grayscale_prob", 0.0, least=0):
        yield {"use": "RandomGrayscale", "p": probability}
    if probability := settings.number("gaussian_blur_prob", 0.0, least=0):
        yield from _at_random({"use": "GaussianBlur", "kernel_size": 23}, probability)


def _at_random(call: dict[str, Any], probability: float) -> Iterator[dict[str, Any]]:
    yield call if probability == 1 else {"use": "RandomApply", "transforms": [call], "p": probability}


def _augmentation(policy: str, settings: Settings, inputs: Inputs, notes: Notes) -> dict[str, Any]:
    kind = policy.partition("-")[0]
    if kind not in ("rand", "augmix", "original", "originalr", "v0", "v0r", "3a"):
        message = f"aa: {policy[:60]!r} is no policy of timm; write one such as rand-m9-mstd0.5, or null, in a copy"
        notes.refuse(settings.mark("aa"), message)
    call = {"use": AUGMENT, "policy": policy, "size": min(inputs.size), "mean": list(inputs.mean)}
    name = settings.text("train_interpolation") or inputs.interpolation
    return {**call, **({"interpolation": name} if name != "random" else {})}


def erasing(settings: Settings, notes: Notes) -> dict[str, Any] | None:
    """Return random erasing, which timm applies to normalized images; None if it is off."""
    probability = settings.number("reprob", 0.0, least=0)
    if not probability or settings.flag("no_aug"):
        return None
    mode = settings.text("remode", "pixel")
    if mode not in ERASED:
        message = f"remode: {mode!r} has no equal in torchvision; write `remode: pixel` or `remode: const` in a copy"
        notes.refuse(settings.mark("remode"), message)
    if settings.whole("recount", 1, least=1) != 1:
        message = "recount: torchvision erases one rectangle; write `recount: 1` in a copy of the file"
        notes.refuse(settings.mark("recount"), message)
    return {"use": "torchvision.transforms.RandomErasing", "p": probability, "scale": [LEAST_AREA, MOST_AREA],
            "ratio": [LEAST_ASPECT, 1 / LEAST_ASPECT], "value": ERASED.get(mode, 0)}  # fmt: skip


def eval_transforms(settings: Settings, inputs: Inputs, notes: Notes) -> Transforms:
    """Return the transforms of the split that is scored, up to the one that makes a tensor."""
    interpolation = "bilinear" if inputs.interpolation == "random" else inputs.interpolation
    resized = [math.floor(side / inputs.crop_pct) for side in inputs.size]
    if max(resized) > MAX_SIDE:
        message = f"crop_pct: images of {max(resized):,} pixels before the crop; at most {MAX_SIDE:,} are allowed"
        notes.refuse(settings.mark("crop_pct"), f"{message}; write a larger crop_pct in a copy of the file")
    is_center = inputs.crop_mode == "center" and resized[0] == resized[1]
    if not is_center and inputs.crop_mode != "squash":
        message = f"crop_mode {inputs.crop_mode!r} of images of {inputs.size[0]} x {inputs.size[1]} pixels has no equal"
        notes.refuse(
            settings.mark("crop_mode", "model"), f"{message} in torchvision; write `crop_mode: squash` in a copy"
        )
    size: int | list[int] = resized[0] if is_center else resized
    resize = {"use": "Resize", "size": size, "interpolation": INTERPOLATIONS[interpolation]}
    return [resize, {"use": "CenterCrop", "size": inputs.side}]


def normalization(inputs: Inputs) -> Transforms:
    """Return the transforms that make a normalized tensor of an image."""
    normalize = {"use": "Normalize", "mean": list(inputs.mean), "std": list(inputs.std)}
    return [{"use": "ToImage"}, {"use": "ConvertImageDtype"}, normalize]
