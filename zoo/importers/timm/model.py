"""The model of a training by timm, and which of its parameters timm never decays."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from zoo.errors import SourceError, UsageError, did_you_mean, first_line
from zoo.fetch.timm_settings import RGB, timm_arguments
from zoo.importers.parameter_paths import shortest_paths
from zoo.importers.settings import Notes, Settings
from zoo.importers.timm.arguments import Arguments
from zoo.models.build_watch import watched
from zoo.models.size_limits import size_limits
from zoo.recipes.build import Builder
from zoo.recipes.check_calls import refused_arguments
from zoo.recipes.values import Call

CREATE = "timm.create_model"
_NAME = re.compile(r"(\w{1,80})(\.\w{1,80})?", re.ASCII)
RATES = {
    "drop": "drop_rate", "drop_connect": "drop_path_rate", "drop_path": "drop_path_rate",
    "drop_block": "drop_block_rate", "bn_momentum": "bn_momentum", "bn_eps": "bn_eps",
}  # fmt: skip
"""Options of `train.py` with a number, and the arguments of the model that they become."""


@dataclass(frozen=True, kw_only=True)
class TimmModel:
    """A model of timm, as a recipe builds it."""

    call: Mapping[str, Any]
    classes: int
    defaults: Mapping[str, Any]
    """What timm knows about the model's inputs: `input_size`, `mean`, `std`, `interpolation`, `crop_pct`."""
    undecayed: tuple[str, ...] = ()
    """Paths of the parameters without weight decay: biases, those of normalizations, and those that the model lists."""


def convert_model(settings: Settings, arguments: Arguments, notes: Notes) -> TimmModel | None:
    """Return the model of a training; None if it cannot be converted, which an obstacle says.

    Raises:
        SourceError: The package timm is missing.
    """
    if find_spec("timm") is None:
        raise SourceError("the options of timm need the package timm: pip install timm")
    timm = import_module("timm")
    name = settings.text("model", "resnet50")
    found = _NAME.fullmatch(name)
    if found is None or not timm.is_model(found[1]):
        known = [] if found is None else timm.list_models()
        installed = f"timm {timm.__version__} has no model {name[:100]!r}"
        notes.refuse(settings.mark("model"), f"{installed}{did_you_mean(name, known)}; write the name of one")
        return None
    _check_repository(found[1], settings, arguments, notes)
    published = timm.get_pretrained_cfg(name, allow_unregistered=True)
    defaults = {**(published.to_dict() if published else {}), **_known(arguments.settings)}
    classes = settings.whole("num_classes", int(defaults.get("num_classes") or 1000), least=1)
    built = {"use": CREATE, "model_name": found[1], "num_classes": classes, **_model_arguments(settings, notes)}
    if (model := _build(built, settings, notes)) is None:
        return None
    call = _pretrained(built, published, classes, settings, notes) if settings.flag("pretrained") else built
    return TimmModel(call=call, classes=classes, defaults=defaults, undecayed=tuple(undecayed_paths(model)))


def _check_repository(name: str, settings: Settings, arguments: Arguments, notes: Notes) -> None:
    described = arguments.settings.get("architecture")
    if described is not None and described != name:
        message = f"model is {name}, but config.json beside it describes {described}; import a file with the right one"
        notes.refuse(settings.mark("model"), message)


def _known(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the `config.json` of a repository says about inputs and classes."""
    keys = ("input_size", "mean", "std", "interpolation", "crop_pct", "crop_mode", "num_classes")
    return {key: settings[key] for key in keys if settings.get(key) is not None}


def _model_arguments(settings: Settings, notes: Notes) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for option, name in RATES.items():
        if settings.value(option) is not None:
            arguments[name] = settings.number(option, 0.0)
    if pool := settings.text("gp"):
        arguments["global_pool"] = pool
    if settings.whole("in_chans", RGB, least=1) != RGB:
        notes.refuse(settings.mark("in_chans"), "in_chans: zoo's tasks have RGB images of 3 channels; leave it out")
    return {**arguments, **_further(settings, notes)}


def _further(settings: Settings, notes: Notes) -> Mapping[str, Any]:
    """Return the arguments in `model_kwargs`, unless one could name a file or code."""
    further = settings.value("model_kwargs") or {}
    try:
        return timm_arguments({"model_args": further})
    except UsageError as error:
        notes.refuse(settings.mark("model_kwargs"), f"model_kwargs: {error}; leave it out")
        return {}


def _build(call: Mapping[str, Any], settings: Settings, notes: Notes) -> nn.Module | None:
    """Return the model without memory, or None, and add an obstacle, if its arguments do not fit."""
    mark = settings.mark("model")
    made = Call(use=CREATE, args={key: value for key, value in call.items() if key != "use"}, mark=mark)
    refused = [problem.message for problem in refused_arguments(made)]
    try:
        with torch.device("meta"), size_limits():
            model: nn.Module | None = None if refused else watched(lambda: Builder().build(made, "model"))
    except UsageError as error:
        refused = [first_line(error).removeprefix(f"{mark}: ")]
    for message in refused:
        notes.refuse(mark, f"the model cannot be built: {message}; change its options in a copy of the file")
    return None if refused else model


def _pretrained(
    call: Mapping[str, Any], published: Any, classes: int, settings: Settings, notes: Notes
) -> Mapping[str, Any]:
    """Return the model with the weights that timm would download, without those of the head for other classes."""
    repository = getattr(published, "hf_hub_id", None)
    if not repository:
        notes.refuse(settings.mark("pretrained"), "pretrained: timm names no repository of the Hub with these weights;"
                     " write `pretrained: false` in a copy of the file, and `pretrained` in the recipe")  # fmt: skip
        return call
    notes.assume(f"pretrained: true means the weights in {repository}, those of the installed timm")
    start = {"use": "pretrained", "model": dict(call), "weights": f"hub:{repository}"}
    head = published.classifier
    ignored = [head] if isinstance(head, str) else [*(head or ())]
    return {**start, "ignore": ignored} if classes != published.num_classes else start


def undecayed_paths(model: nn.Module) -> Iterator[str]:
    """Yield paths of exactly the parameters that timm leaves without weight decay.

    These are the parameters of at most one dimension, all biases, and those that `no_weight_decay` of the model lists
    (`param_groups_weight_decay` in timm/optim/_param_groups.py).
    """
    listed: Iterable[str] = getattr(model, "no_weight_decay", tuple)()
    parameters = {name: parameter.ndim for name, parameter in model.named_parameters()}
    undecayed = [
        name for name, ndim in parameters.items() if ndim <= 1 or name.endswith(".bias") or _is_in(name, listed)
    ]
    decayed = [name for name in parameters if name not in {*undecayed}]
    yield from shortest_paths(undecayed, decayed)


def _is_in(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
