"""Turn the options of a training by timm into a recipe, and collect everything that has no equal."""

import re
from pathlib import PurePosixPath
from typing import Any

from zoo.fetch.sources import Sources
from zoo.importers.outcome import ImportedRecipe
from zoo.importers.settings import Notes, Settings, read_settings
from zoo.importers.timm.arguments import Arguments, find_arguments
from zoo.importers.timm.data import convert_task
from zoo.importers.timm.model import convert_model
from zoo.importers.timm.optimization import convert_stage
from zoo.importers.timm.options import check_options, note_machine
from zoo.importers.timm.transforms import read_inputs

TOOL = "timm"
NEEDED = ("model", "opt", "sched", "epochs", "batch_size", "weight_decay")
"""Options without which a file is hardly one of `train.py`."""
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)


def import_timm(target: str, sources: Sources, processes: int | None = None, name: str | None = None) -> ImportedRecipe:
    """Return the recipe of a training by timm.

    Args:
        target: The file that `train.py` writes, `args.yaml`, or a repository of the Hub with such a file.
        sources: Fetches the files of a repository.
        processes: How many processes timm ran. Default: one, which is then an assumption.
        name: The name of the recipe. Default: that of the repository, or of the model.

    Raises:
        RecipeError: With everything that blocks the conversion.
        SourceError: The file cannot be read.
    """
    arguments, notes = find_arguments(target, sources), Notes()
    settings = read_settings(arguments.text, arguments.shown, notes)
    recipe = _recipe(settings, arguments, processes, notes)
    notes.require_none()
    recipe["name"] = name or recipe["name"]
    return ImportedRecipe(
        tool=TOOL, source=arguments.shown, recipe=recipe, assumptions=tuple(notes.assumptions),
        differences=tuple(notes.differences),
    )  # fmt: skip


def _recipe(settings: Settings, arguments: Arguments, processes: int | None, notes: Notes) -> dict[str, Any]:
    check_options(settings, notes)
    if lacking := [name for name in NEEDED if name not in settings.values]:
        notes.assume(f"the file lacks {', '.join(lacking)}; the recipe has the defaults of train.py")
    if processes is None:
        notes.assume("timm ran as one process: its batch_size is per process. For a run of several, import with"
                     " --processes N")  # fmt: skip
    model = convert_model(settings, arguments, notes)
    defaults = model.defaults if model else {}
    task, scored = convert_task(
        settings, read_inputs(settings, defaults, notes), model.classes if model else 1000, notes
    )
    stage = convert_stage(settings, model.undecayed if model else (), scored, processes or 1, notes)
    note_machine(settings, processes or 1, notes)
    published = {"weights": str(arguments.repository)} if arguments.repository is not None else {}
    return {
        "name": _name(settings, arguments), "task": task, "model": dict(model.call) if model else {}, **published,
        "stages": [stage],
    }  # fmt: skip


def _name(settings: Settings, arguments: Arguments) -> str:
    """Return the name of the repository, of the experiment, or of the model."""
    found = arguments.repository.short_name if arguments.repository else ""
    experiment = PurePosixPath(settings.text("experiment")).name
    name = _UNSAFE.sub("-", found or experiment or settings.text("model", "resnet50")).strip("-.")[:100]
    return name or TOOL
