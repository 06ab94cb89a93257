"""Files and folders that a user names as an entry and that hold no recipe: what they are, and what to do with them."""

import shlex
from contextlib import suppress
from pathlib import Path

from zoo.fetch.source_types import HF, HUB_NAME
from zoo.files import is_hidden

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
"""The tables that `zoo init` reads; not `.json`, which settings and claims are too."""
OTHER_TABLES = (".arrow", ".xlsx", ".xls")
IMAGES = (".jpg", ".jpeg", ".png", ".webp")
PICTURES = (".svg", ".pdf", *IMAGES)
WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz")
"""The weights and predictions that `zoo evaluate` reads."""
OTHER_WEIGHTS = (".onnx",)
RECORD = "record.json"
BYTECODE = "__pycache__"
CLASSES = 2
"""The fewest classes of a folder of images."""


def is_other_file(path: Path) -> bool:
    """Return whether a path has the name of a file that is no recipe."""
    kinds = (*TABLES, *OTHER_TABLES, *PICTURES, *WEIGHTS, *OTHER_WEIGHTS)
    return path.suffix.lower() in kinds or path.name == RECORD


def instead_of_recipe(path: Path) -> str:
    """Return what a file or a folder without recipes is, and which command reads it; empty if it may be a recipe."""
    if path.is_dir():
        data = _data_in(path)
        return f"a folder without recipes (*.yaml); {_init(data)}" if data else ""
    if not is_other_file(path):
        return ""
    kind = path.suffix.lower()
    if not path.exists():
        is_of_hub = kind in (*WEIGHTS, *OTHER_WEIGHTS) and HUB_NAME.fullmatch(str(path)) is not None
        hint = f"; for the model of the Hub, write {HF}{path}" if is_of_hub else ""
        return f"there is no such file, and a recipe ends in .yaml{hint}"
    if kind in TABLES:
        return f"this is a table and no recipe; {_init(path)}"
    if kind in OTHER_TABLES:
        return "this is a table and no recipe, and zoo cannot read it; export it as CSV for `zoo init`"
    if kind in WEIGHTS:
        how = f"`zoo evaluate {shlex.quote(str(path))} --as ENTRY` scores them"
        return f"these are weights or predictions and no recipe; {how}"
    if kind in OTHER_WEIGHTS:
        return "these are weights and no recipe, and zoo cannot read them; name the weights that they were made of"
    if kind in PICTURES:
        return "this is a picture and no recipe"
    return f"this is the record of a run and no recipe; its recipe is {path.with_name('recipe.yaml')}"


def _init(data: Path) -> str:
    return f"`zoo init --data {shlex.quote(str(data))}` writes a recipe for such data"


def _data_in(folder: Path) -> Path | None:
    """Return what `zoo init` reads in a folder: a table, or the folder itself with images of classes; else None."""
    tables = [child for child in _visible(folder) if child.suffix.lower() in TABLES and child.is_file()]
    if tables:  # beside `train.csv`, `zoo init` finds the other splits
        return next((table for table in tables if table.stem.lower() == "train"), tables[0])
    train = folder / "train"
    return folder if _has_classes(train if train.is_dir() else folder) else None


def _has_classes(folder: Path) -> bool:
    """Return whether the images of each class are in a folder of their own."""
    return sum(any(file.suffix.lower() in IMAGES for file in _visible(child)) for child in _visible(folder)) >= CLASSES


def _visible(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted; nothing for a file, or for a folder that cannot be read."""
    with suppress(OSError):
        return [child for child in sorted(folder.iterdir()) if not is_hidden(child.name) and child.name != BYTECODE]
    return []
