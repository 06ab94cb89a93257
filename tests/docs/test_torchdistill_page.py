"""The page that compares zoo with torchdistill: it has every feature, and everything that it names exists."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pydoc import locate

import pytest

import harness.losses
import harness.schedules
import zoo.models
import zoo.tasks
from harness.models.feature_hooks import parse_feature_path
from tests.helpers.project import ROOT
from zoo.recipes.allowed import is_allowed
from zoo.recipes.schema import Holdout, Recipe
from zoo.recipes.stage import Stage, Teacher, Term

PAGE = (ROOT / "docs" / "torchdistill.md").read_text(encoding="utf-8")
FEATURES = (ROOT / "tests" / "docs" / "torchdistill_features.txt").read_text(encoding="utf-8").splitlines()
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
ROWS = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in PAGE.splitlines() if line[:2] == "| "]
PARTS = (Recipe, Stage, Teacher, Term, Holdout)
KEYS = {part.name for kind in PARTS for part in fields(kind)} | {"use"}
ARGUMENTS = {
    "AttentionTransfer": ("form",),
    "SKDDirection": ("form",),
    "CrossEntropy": ("of",),
    "pretrained": ("of", "part"),
}
"""Arguments that the page names beside a loss or a model."""
OF_TORCHDISTILL = ("forward_proc", "torch.hub", "ReduceLROnPlateau", "random_split")
"""Names of torch and torchdistill that the page uses to say what is missing, or what is the same."""
OF_TORCH = {"torch.optim": "optimizer", "torch.optim.lr_scheduler": "schedule"}
FILES = ("log.jsonl", "recipe.yaml")
"""Files in the folder of a run; `docs/training.md` describes them."""


def names() -> Iterator[tuple[str, str]]:
    """Yield each name in the column of zoo with the cell that it stands in."""
    for _, cell in ROWS:
        yield from ((name, cell) for name in re.findall(r"`([^`]+)`", cell))


def exists(name: str, cell: str) -> bool:
    """Return whether zoo has what a name stands for."""
    if name in OF_TORCHDISTILL:
        return True
    if name.startswith("zoo "):
        return f"## {name}\n" in COMMANDS or f"`{name}`" in COMMANDS
    if name.startswith("--"):
        return name.split(maxsplit=1)[0] in COMMANDS
    if name in FILES:
        return f"`{name}`" in (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    if name.startswith("{"):
        return any(f"{key}:" in name for key in (*KEYS, "weight_decay"))
    if "#" in name or ":input" in name:
        return bool(parse_feature_path(name))
    if "/" in name or name == "configs":
        return name.startswith("file:~/") or (ROOT / name).exists()
    beside = [argument for owner, arguments in ARGUMENTS.items() if owner in cell for argument in arguments]
    plain = {*harness.losses.__all__, *zoo.tasks.__all__, *zoo.models.__all__, *vars(harness.schedules), *KEYS, *beside}
    return (
        name in plain
        or name == "~"
        or any(is_allowed(f"{module}.{name}", field) for module, field in OF_TORCH.items())
        or ("." in name and locate(name) is not None)
    )


def test_the_page_has_every_feature_of_torchdistill_in_the_order_of_the_list() -> None:
    features = [line for line in FEATURES if not line.startswith("# ")]
    assert [feature for feature, _ in ROWS[1:] if feature != "torchdistill"] == features


@pytest.mark.parametrize(("name", "cell"), [*dict.fromkeys(names())], ids=lambda text: text[:40])
def test_everything_that_the_page_names_exists(name: str, cell: str) -> None:
    if name != "zoo":
        assert exists(name, cell), f"`{name}` in: {cell}"


@pytest.mark.parametrize("owner", ARGUMENTS)
def test_the_arguments_that_the_page_names_exist(owner: str) -> None:
    found = inspect.signature(getattr(harness.losses, owner, None) or getattr(zoo.models, owner)).parameters
    assert {*ARGUMENTS[owner]} <= found.keys()


def test_each_answer_says_what_zoo_has_or_why_it_has_nothing() -> None:
    for feature, cell in ROWS:
        assert cell, feature
        assert not cell.startswith("no") or len(cell) > len("no: ") + 8, feature
