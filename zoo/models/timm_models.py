"""Models of timm with published weights: what `config.json` beside them says, and names of older files.

timm itself never downloads anything here: recipes build its models without weights, and `weights` names a source.
"""

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from zoo.errors import IntegrityError, UsageError
from zoo.fetch import weights_file
from zoo.fetch.offline import offline
from zoo.fetch.published_settings import read_json
from zoo.fetch.repository_files import CONFIG
from zoo.trusted_code import comes_from

TIMM = "timm"


def read_timm_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings of timm in a folder; None if its `config.json` is missing or of another library.

    Older files have the settings of the weights at their top level, newer ones under `pretrained_cfg`.

    Raises:
        IntegrityError: The file is not a JSON object, or its settings are not.
    """
    path = folder / CONFIG
    settings = read_json(path) if path.is_file() else {}
    if not isinstance(settings.get("architecture"), str) or "model_type" in settings:
        return None
    of_weights = settings.get("pretrained_cfg", {})
    if not isinstance(of_weights, Mapping) or not isinstance(settings.get("model_args") or {}, Mapping):
        raise IntegrityError(f"{path}: pretrained_cfg and model_args must be JSON objects")
    return {**of_weights, **{key: value for key, value in settings.items() if key != "pretrained_cfg"}}


def check_timm_model(model: nn.Module, name: str, arguments: Mapping[str, Any], folder: Path) -> None:
    """Check that a model of timm is the one that `config.json` beside its weights describes.

    The model gets the attribute `published_classes`, the names of its classes in the order of its outputs.

    Args:
        model: The model that the recipe builds.
        name: The name of its architecture.
        arguments: The arguments in the recipe.
        folder: The folder with the weights.

    Raises:
        UsageError: The recipe builds another model; the message says what to write.
        IntegrityError: See `read_timm_settings`.
    """
    settings = read_timm_settings(folder)
    if settings is None or not comes_from(model, (TIMM,)):
        return
    where, expected = folder / CONFIG, str(settings["architecture"])
    if name.partition(".")[0] != expected:
        raise UsageError(
            f"{where} describes {expected}, but the recipe's model is {name}; write model_name: {expected}"
        )
    for key, value in (settings.get("model_args") or {}).items():
        if arguments.get(key) != value:
            raise UsageError(f"{where} has the model argument {key}: {value!r}; add it to the recipe's model")
    outputs, classes = getattr(model, "num_classes", None), settings.get("num_classes")
    if isinstance(classes, int) and outputs not in (None, classes):
        raise UsageError(f"{where} says {classes} classes, but the recipe's model has {outputs}: write num_classes")
    labels = settings.get("label_names")
    model.published_classes = [str(label) for label in labels] if isinstance(labels, list) else []  # type: ignore[assignment]


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
