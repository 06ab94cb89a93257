"""Files and folders that a user names as an entry and that hold no recipe: what they are, and what to do with them."""

import shlex
from pathlib import Path

TABLES = (".csv", ".tsv", ".jsonl", ".parquet", ".arrow", ".xlsx", ".xls")
PICTURES = (".svg", ".png", ".pdf", ".jpg", ".jpeg")
WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".onnx", ".npz")
RECORD = "record.json"


def is_other_file(path: Path) -> bool:
    """Return whether a path has the name of a file that is no recipe."""
    return path.suffix.lower() in (*TABLES, *PICTURES, *WEIGHTS) or path.name == RECORD


def instead_of_recipe(path: Path) -> str:
    """Return what a file or a folder without recipes is, and which command reads it; empty if it may be a recipe."""
    name = shlex.quote(str(path))
    if path.is_dir():
        has_data = any(child.is_dir() or child.suffix.lower() in TABLES for child in path.iterdir())
        return f"a folder without recipes (*.yaml); {_init(name)}" if has_data else ""
    if not is_other_file(path):
        return ""
    if not path.exists():
        return "there is no such file, and a recipe ends in .yaml"
    kind = path.suffix.lower()
    if kind in TABLES:
        return f"this is a table and no recipe; {_init(name)}"
    if kind in WEIGHTS:
        return f"these are weights or predictions and no recipe; `zoo evaluate {name} --as ENTRY` scores them"
    if kind in PICTURES:
        return "this is a picture and no recipe"
    return f"this is the record of a run and no recipe; its recipe is {path.with_name('recipe.yaml')}"


def _init(name: str) -> str:
    return f"`zoo init --data {name}` writes a recipe for such data"
