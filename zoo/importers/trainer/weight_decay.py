"""The parameters that the Trainer leaves without weight decay: biases, and those of normalizations."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import nn

from zoo.errors import first_line
from zoo.fetch.offline import offline
from zoo.importers.parameter_paths import shortest_paths
from zoo.importers.settings import Notes
from zoo.importers.trainer.card import TrainerCard
from zoo.models.auto_classes import IMAGE_CLASSIFIER, TEXT_CLASSIFIER, TOKEN_CLASSIFIER
from zoo.models.build_watch import watched
from zoo.models.size_limits import size_limits

CLASSES: Mapping[str, str] = {"text": TEXT_CLASSIFIER, "word": TOKEN_CLASSIFIER, "image": IMAGE_CLASSIFIER}
_UNDECAYED = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")
"""Names in small letters without weight decay: `get_decay_parameter_names` of transformers/trainer.py."""


def undecayed_paths(card: TrainerCard, inputs: str, notes: Notes) -> tuple[str, ...]:
    """Return paths of exactly the parameters without weight decay, of the model that `config.json` describes.

    The model is built without memory. An obstacle is added if that fails.
    """
    transformers: Any = import_module("transformers")

    def build() -> nn.Module:
        settings = {key: value for key, value in card.settings.items() if key != "model_type"}
        config = transformers.AutoConfig.for_model(card.settings["model_type"], **settings)
        model: nn.Module = getattr(transformers, CLASSES[inputs]).from_config(config)
        return model

    try:
        with offline(), torch.device("meta"), size_limits():
            model = watched(build)
    except Exception as error:  # a wrong config.json makes transformers raise any exception
        message = f"weight_decay: the model of config.json cannot be built: {type(error).__name__}: {first_line(error)}"
        notes.refuse(card.start, f"{message}; correct config.json beside a copy of the card")
        return ()
    undecayed = [*undecayed_names(model)]
    notes.assume("weight decay leaves out biases and the parameters of normalizations, as in the Trainer")
    return tuple(shortest_paths(undecayed, {name for name, _ in model.named_parameters()} - {*undecayed}))


def undecayed_names(model: nn.Module) -> Iterator[str]:
    """Yield the names of the parameters of a model that the Trainer does not decay."""
    norms = [name for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)]
    for name, _ in model.named_parameters():
        if _UNDECAYED.search(name.lower()) or any(name.startswith(f"{norm}.") for norm in norms):
            yield name
