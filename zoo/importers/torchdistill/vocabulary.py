"""The names that a configuration may import: a closed list. Nothing on it is imported by the conversion either."""

import re

from zoo.errors import did_you_mean
from zoo.recipes.allowed import NEW_TRANSFORMS, TRANSFORMS

DATA_SETS = {
    "torchvision.datasets.CIFAR10": "cifar10",
    "torchvision.datasets.CIFAR100": "cifar100",
    "torchvision.datasets.ImageFolder": "image_folder",
    "torchvision.datasets.ImageNet": "image_folder",
    "torchvision.datasets.VOCSegmentation": "voc_segmentation",
    "coco.dataset.coco_dataset": "coco_segmentation",
    "datasets.load_dataset": "hub",
}
"""Data sets, and their kinds."""
SPLIT_DATA_SET = "torchdistill.datasets.util.split_dataset"
CUSTOM_TRANSFORMS = {
    f"custom.transform.{name}": name
    for name in (
        "CustomCompose", "CustomRandomResize", "CustomRandomHorizontalFlip", "CustomRandomCrop", "CustomCenterCrop",
        "CustomToTensor", "CustomNormalize",
    )
}  # fmt: skip
"""Transforms of torchdistill's examples that take an image and its mask."""
NUM_ITERATIONS = ("utils.dataset.get_num_iterations", "custom.optim.compute_num_training_steps")
"""Functions that count the steps of a training, which zoo counts itself."""
_OTHERS = (
    SPLIT_DATA_SET, *NUM_ITERATIONS, "evaluate.load", "torch.utils.data.RandomSampler",
    "torch.utils.data.SequentialSampler", "torch.utils.data.sampler.RandomSampler",
    "torch.utils.data.sampler.SequentialSampler", "torch.nn.CrossEntropyLoss",
)  # fmt: skip
_NAMES = frozenset((*DATA_SETS, *CUSTOM_TRANSFORMS, *_OTHERS))
_TRANSFORM = re.compile(r"torchvision\.transforms(\.v2|\.transforms|\.functional)?\.(?P<name>\w+)(\.\w+)?")
_WEIGHTS = re.compile(r"torchvision\.models(\.\w+)*\.\w+_Weights(\.[A-Z0-9_]+)?")
_DETECTION = (
    "coco.dataset.ImageToTensor", "coco.dataset.CocoRandomHorizontalFlip", "custom.sampler.GroupedBatchSampler",
    "custom.sampler.create_aspect_ratio_groups",
)  # fmt: skip
NEXT_STEPS = dict.fromkeys(
    _DETECTION, "; object detection is not converted: write a recipe with the task object_detection"
)


def is_known(name: str) -> bool:
    """Return whether the conversion knows a dotted name."""
    if name in _NAMES or _WEIGHTS.fullmatch(name):
        return True
    match = _TRANSFORM.fullmatch(name)
    return match is not None and match["name"] in (*TRANSFORMS, *NEW_TRANSFORMS, "InterpolationMode")


def next_step(name: str) -> str:
    """Return what to do about an unknown name, as the end of a message."""
    return NEXT_STEPS.get(name) or did_you_mean(name, sorted(_NAMES)) or "; see docs/importing.md for what is converted"
