"""The data of a training by timm as a task: folders of images, or a data set of the Hub."""

import re
from pathlib import PurePosixPath
from typing import Any

from zoo.importers.settings import Notes, Settings
from zoo.importers.timm.transforms import Inputs, erasing, eval_transforms, normalization, train_transforms

FOLDERS = ("", "folder", "image_folder", "torch/folder", "torch/image_folder", "torch/imagenet")
"""Names of data sets that are folders of images, one for each class."""
HUB = "hfds/"
TRAIN = ("train", "training")
EVALUATION = ("validation", "val", "valid", "eval", "evaluation")
"""Names of timm for one folder (timm/data/dataset_factory.py)."""
NAME, SPLIT = re.compile(r"[A-Za-z0-9_][\w.-]{0,79}", re.ASCII), re.compile(r"[\w.-]{1,80}", re.ASCII)
REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)


def convert_task(settings: Settings, inputs: Inputs, classes: int, notes: Notes) -> tuple[dict[str, Any], str]:
    """Return the task of a recipe, and the split that is scored."""
    task, scored = _rows(settings, classes, notes)
    train, evaluation = train_transforms(settings, inputs, notes), eval_transforms(settings, inputs, notes)
    normalize = {"mean": list(inputs.mean), "std": list(inputs.std)}
    if (erase := erasing(settings, notes)) is not None:  # normalized first, because timm erases normalized images
        train, evaluation = [*train, *normalization(inputs), erase], [*evaluation, *normalization(inputs)]
        normalize = {"mean": [0.0] * 3, "std": [1.0] * 3}
    return {**task, "train_transforms": train, "eval_transforms": evaluation, **normalize}, scored


def _rows(settings: Settings, classes: int, notes: Notes) -> tuple[dict[str, Any], str]:
    """Return the task without its transforms, and the split that is scored."""
    data_set = settings.text("dataset")
    if data_set.lower().startswith(HUB):
        return _hub(data_set[len(HUB) :], settings, classes, notes)
    if data_set.lower() not in FOLDERS:
        message = f"dataset: zoo reads folders of images and data sets of the Hub, not {data_set[:60]!r}"
        notes.refuse(settings.mark("dataset"), f"{message}; write `dataset: null` for a folder, or hfds/OWNER/NAME")
    train, val = _split("train_split", "train", settings, notes), _split("val_split", "validation", settings, notes)
    train, val = ("train" if train in TRAIN else train), ("val" if val in EVALUATION else val)
    task = {"use": "image_folder", "data": f"data:{_folder(settings, train, val, notes)}", "classes": classes}
    return {**task, **({"train": train} if train != "train" else {}), **({"val": val} if val != "val" else {})}, val


def _folder(settings: Settings, train: str, val: str, notes: Notes) -> str:
    """Return the name of the data set for `--data NAME=DIR`: the last part of timm's folder."""
    folder = settings.text("data_dir") or settings.text("data")
    name = PurePosixPath(folder.replace("\\", "/")).name
    if not NAME.fullmatch(name):
        name = "images"
    of = f"timm's folder {folder[:100]!r} is" if folder else "the file names no folder;"
    notes.assume(
        f"{of} the data set {name!r}, with the folders {train}/CLASS and {val}/CLASS; train with --data {name}=DIR"
    )
    return name


def _hub(name: str, settings: Settings, classes: int, notes: Notes) -> tuple[dict[str, Any], str]:
    if not REPOSITORY.fullmatch(name):
        message = f"dataset: {name[:60]!r} has no owner; write hfds/OWNER/NAME in a copy of the file"
        notes.refuse(settings.mark("dataset"), message)
    train, val = _split("train_split", "train", settings, notes), _split("val_split", "validation", settings, notes)
    task = {"use": "image_classification", "data": f"hub:datasets/{name}", "classes": classes, "splits": [train, val]}
    columns = {"image": settings.text("input_key"), "label": settings.text("target_key")}
    return {**task, **{key: column for key, column in columns.items() if column not in ("", key)}}, val


def _split(option: str, default: str, settings: Settings, notes: Notes) -> str:
    name = settings.text(option) or default
    if not SPLIT.fullmatch(name):
        message = f"{option}: {name[:60]!r} is no name of a split; write one, such as {default}, in a copy of the file"
        notes.refuse(settings.mark(option), message)
        return default
    return name
