"""The `config.json` of a model of timm: its architecture, and the arguments that timm builds it with."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, UsageError
from zoo.fetch.published_settings import read_json
from zoo.fetch.repository_files import CONFIG

_WORD = re.compile(r"\w{1,80}", re.ASCII)
_LOADING = re.compile(r"pretrained|checkpoint|cache|jit|script|config|^use$|^model_name$")
"""Arguments that load something, or replace those of the recipe."""
_ANY_SIZE = {"dynamic_img_size": True, "use_naflex": True, "strict_img_size": False}
"""Arguments, and their values that make a model of a fixed input size one of any size."""
RGB, MOST_CLASSES = 3, 1_000_000


def is_timm(settings: Mapping[str, Any]) -> bool:
    """Return whether settings are those of timm, which name an architecture and no `model_type`."""
    return isinstance(settings.get("architecture"), str) and "model_type" not in settings


def read_timm_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings of timm in a folder; None if its `config.json` is missing or of another library.

    Raises:
        IntegrityError: The file is not a JSON object, or its settings are not.
    """
    path = folder / CONFIG
    settings = read_json(path) if path.is_file() else {}
    if not is_timm(settings):
        return None
    if not isinstance(settings.get("pretrained_cfg", {}), Mapping):
        raise IntegrityError(f"{path}: pretrained_cfg must be a JSON object")
    return with_weights_settings(settings)


def with_weights_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of timm with those of the weights at the top level, where older files have them.

    Newer files have them under `pretrained_cfg`; the settings at the top level override them.
    """
    of_weights = settings.get("pretrained_cfg")
    at_top = {key: value for key, value in settings.items() if key != "pretrained_cfg"}
    return {**(of_weights if isinstance(of_weights, Mapping) else {}), **at_top}


def timm_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that timm passes to a model of the Hub: `model_args`, the classes and the size of its input.

    As `_parse_model_cfg` of `timm/models/_hub.py` and `_update_default_model_kwargs` of `timm/models/_builder.py` do. A
    model of a fixed input size gets that of its weights, unless `model_args` have another or allow any.

    Args:
        settings: The result of `with_weights_settings`.

    Raises:
        UsageError: An argument could name a file or code; the message names it.
    """
    arguments = _plain_arguments(settings.get("model_args"))
    classes, size = settings.get("num_classes"), settings.get("input_size")
    if type(classes) is int and classes >= 0:  # 0: a model without a classifier
        arguments.setdefault("num_classes", classes)
    if "num_classes" in arguments and arguments["num_classes"] not in range(MOST_CLASSES + 1):
        raise UsageError(f"num_classes is no number up to {MOST_CLASSES:,}")
    if isinstance(size, list) and len(size) == 3 and all(type(side) is int and side > 0 for side in size):
        channels, height, width = size
        takes_any_size = any(arguments.get(key) == value for key, value in _ANY_SIZE.items())
        if channels != RGB:
            arguments.setdefault("in_chans", channels)
        if settings.get("fixed_input_size") is True and not takes_any_size:
            arguments.setdefault("img_size", height if height == width else [height, width])
    return arguments


def _plain_arguments(published: Any) -> dict[str, Any]:
    """Return arguments without those that are null, which timm leaves out too."""
    if published is not None and not isinstance(published, Mapping):
        raise UsageError("model_args are no JSON object")
    for key, value in (published or {}).items():
        name = f"the model argument {str(key)[:40]!r}"
        if not _is_word(key) or _LOADING.search(key):
            raise UsageError(f"{name} could load files or code")
        if not _is_plain(value):
            raise UsageError(f"{name} is no number, name or truth value, and no list of these")
    return {key: value for key, value in (published or {}).items() if value is not None}


def _is_word(value: object) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _is_plain(value: object) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(item is None or isinstance(item, bool | int | float) or _is_word(item) for item in items)
