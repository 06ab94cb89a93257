"""Turn a configuration of torchdistill into a recipe, and collect everything that has no equal."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from zoo.errors import Problem, RecipeError
from zoo.importers.outcome import ImportedRecipe
from zoo.importers.torchdistill.data import DataSplit, splits_of
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.model import Model
from zoo.importers.torchdistill.models import convert_model
from zoo.importers.torchdistill.optimization import Invocation
from zoo.importers.torchdistill.read import read_config
from zoo.importers.torchdistill.stage_configs import StageConfig, stage_configs
from zoo.importers.torchdistill.stages import convert_stages
from zoo.importers.torchdistill.tasks import TaskParts, task_parts
from zoo.importers.torchdistill.without_models import check_without_models

TOOL = "torchdistill"
KNOWN_KEYS = ("datasets", "models", "train", "test", "dependencies", "private", "preprocess", "metric", "metrics",
              "evaluate", "name")  # fmt: skip
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)


def import_config(path: Path, run: Invocation | None = None, name: str | None = None) -> ImportedRecipe:
    """Return the recipe of a configuration.

    Args:
        path: The file.
        run: How torchdistill was run. Default: one process.
        name: The name of the recipe. Default: that of the file to which torchdistill would write the weights.

    Raises:
        RecipeError: With everything that blocks the conversion.
        SourceError: The file cannot be read.
    """
    config, problems = read_config(path)
    return convert(config, problems, path, run or Invocation(), name)


def convert(
    config: Item, problems: Sequence[Problem], path: Path, run: Invocation, name: str | None = None
) -> ImportedRecipe:
    """Return the recipe of a configuration that was read with these problems; see `import_config`."""
    found = Findings(problems=dict.fromkeys(problems))
    recipe: dict[str, Any] = {}
    with found.part():
        recipe = _recipe(config, path, run, found)
    recipe |= {"name": name} if name and recipe else {}
    if found.problems:
        raise RecipeError([*found.problems])
    return ImportedRecipe(tool=TOOL, source=str(path), recipe=recipe, assumptions=tuple(found.assumptions),
                          differences=tuple(found.differences))  # fmt: skip


def _recipe(config: Item, path: Path, run: Invocation, found: Findings) -> dict[str, Any]:
    with found.part():
        config.check_keys(KNOWN_KEYS, "a configuration")
    splits = splits_of(config, found)
    stages = stage_configs(config.need("train"))
    _assume_processes(run, found)
    train = _split(stages[0].loader, splits, found)
    models = config.need("models")
    student_item = models.need("student_model", "model")
    student = teacher = None
    kind = train.kind if train else ""
    with found.part():
        student = convert_model(student_item, kind, found, is_teacher=False)
    if (teacher_item := models.get("teacher_model")) is not None:
        with found.part():
            teacher = convert_model(teacher_item, kind, found, is_teacher=True)
    if student is None or train is None or (teacher_item is not None and teacher is None):
        check_without_models(stages, run, found)
        return {}
    validation, test = _validation(stages, splits, found), _test(config, splits, found)
    parts = task_parts(config, train, validation, test, student, found)
    _check_one_split(stages, found)
    converted = convert_stages(stages, student, teacher, parts, run, found)
    if len(stages) > 1 and parts.selected_on:
        found.assume("torchdistill keeps the best epoch of all stages, the recipe that of the last stage")
    return _assembled(_name(student_item, path), student, parts, converted)


def _assembled(name: str, student: Model, parts: TaskParts, stages: list[dict[str, Any]]) -> dict[str, Any]:
    recipe: dict[str, Any] = {"name": name, "task": parts.task}
    recipe |= {"tokenizer": parts.tokenizer} if parts.tokenizer else {}
    recipe |= {"model": student.started}
    recipe |= {"holdout": parts.holdout} if parts.holdout else {}
    return {**recipe, "stages": stages}


def _name(student: Item, path: Path) -> str:
    """Return the name of the file that torchdistill would write, or else of the configuration."""
    target = student.get("dst_ckpt", "ckpt")
    name = PurePosixPath(target.text).name if target is not None and isinstance(target.value, str) else path.stem
    stem = name.removesuffix(".pt").removesuffix(".pth") or path.stem
    return _UNSAFE.sub("-", stem).strip("-.")[:100] or TOOL


def _split(loader: Item, splits: dict[str, DataSplit], found: Findings) -> DataSplit | None:
    """Return the split that a data loader names; None if it was not converted, which a problem says."""
    identity = loader.get("dataset_id")
    if identity is None:
        found.refuse(loader.mark, "the key 'dataset_id' is missing")
        return None
    if identity.text not in splits and not found.problems:
        found.refuse(identity.mark, f"there is no data set {identity.text!r}; there are {', '.join(splits) or 'none'}")
    return splits.get(identity.text)


def _validation(stages: list[StageConfig], splits: dict[str, DataSplit], found: Findings) -> DataSplit | None:
    loaders = [loader for stage in stages if (loader := stage.config.get("val_data_loader")) is not None]
    return _split(loaders[-1], splits, found) if loaders else None


def _test(config: Item, splits: dict[str, DataSplit], found: Findings) -> DataSplit | None:
    test = config.get("test")
    loader = test.get("test_data_loader") if test else None
    return _split(loader, splits, found) if loader else None


def _check_one_split(stages: list[StageConfig], found: Findings) -> None:
    """Add a problem for a stage that trains on other rows than the first."""
    first = stages[0].loader.need("dataset_id").text
    for stage in stages[1:]:
        identity = stage.loader.need("dataset_id")
        if identity.text != first:
            found.refuse(identity.mark, f"a stage trains on {identity.text}, an earlier one on {first}: not converted")


def _assume_processes(run: Invocation, found: Findings) -> None:
    if run.processes == 1:
        found.assume(
            "torchdistill ran as one process: its batch_size is per process, and -adjust_lr multiplies learning rates"
            " by their number. For a run of several processes import with --processes N, and --adjust-lr"
        )
    else:
        what = "batch sizes and learning rates" if run.adjust_lr else "batch sizes, but not learning rates,"
        times = f"{run.processes} times those of the configuration"
        found.assume(f"torchdistill ran as {run.processes} processes: {what} are {times}")
