"""Models of timm with published weights: what `config.json` beside them says, and names of older files.

timm itself never downloads anything here: recipes build its models without weights, and `weights` names a source.
"""

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from zoo.errors import UsageError
from zoo.fetch import weights_file
from zoo.fetch.offline import offline
from zoo.fetch.repository_files import CONFIG
from zoo.fetch.timm_settings import read_timm_settings, timm_arguments
from zoo.trusted_code import comes_from

TIMM = "timm"


def check_timm_recipe(name: str, arguments: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Check a call of timm against `config.json` beside its weights, and return the arguments that only that names.

    Args:
        name: The name of the architecture.
        arguments: The arguments in the recipe.
        folder: The folder with the weights.

    Raises:
        UsageError: The recipe builds another model, and the message says what to write; or an argument could name a
            file or code.
        IntegrityError: See `read_timm_settings`.
    """
    settings = read_timm_settings(folder)
    if settings is None:
        return {}
    where, expected = folder / CONFIG, str(settings["architecture"])
    if name.partition(".")[0] != expected:
        raise UsageError(
            f"{where} describes {expected}, but the recipe's model is {name}; write model_name: {expected}"
        )
    try:
        published = timm_arguments(settings)
    except UsageError as error:
        raise UsageError(f"{where}: {error}; zoo cannot build this model") from None
    for key in ("num_classes", *(settings.get("model_args") or {})):  # a recipe may choose another size of the input
        if key in published and key in arguments and arguments[key] != (value := published[key]):
            raise UsageError(f"{where} says {key}: {value!r}, but the recipe's model has {arguments[key]!r}")
    return {key: value for key, value in published.items() if key not in arguments}


def published_classes(folder: Path) -> list[str]:
    """Return the names of the classes that `config.json` in a folder lists, in the order of the outputs; else none."""
    labels = (read_timm_settings(folder) or {}).get("label_names")
    return [str(label) for label in labels] if isinstance(labels, list) else []


def with_present_names(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict as timm renames it for the present version of a model, if its names do not fit."""
    filters = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if not comes_from(model, (TIMM,)) or filters is None or not weights_file.misfits(model.state_dict(), state):
        return state
    with suppress(Exception), offline():  # it expects names that a file of another model does not have
        renamed = filters(dict(state), model)
        if not weights_file.misfits(model.state_dict(), renamed):
            return dict(renamed)
    return state
