"""Load a recipe's model with weights."""

from importlib import import_module
from typing import Any

from torch import nn

from zoo.fetch import weights_file
from zoo.fetch.fetched import Fetched
from zoo.recipes.build import Builder
from zoo.recipes.reader import Call


def architecture(model: Call) -> Call:
    """Return the call to build if the weights come from elsewhere: `pretrained` then fetches no weights."""
    inner = model.args.get("model") if model.use == "pretrained" else None
    return architecture(inner) if isinstance(inner, Call) else model


def load_model(call: Call, fetched: Fetched, builder: Builder) -> nn.Module:
    """Return the model of a recipe with fetched weights.

    A repository, or a folder that transformers has written, is loaded with its configuration. For a
    single file the recipe's model is built, and the file is loaded into it.

    Args:
        call: The recipe's model.
        fetched: The weights.
        builder: Builds the model.

    Raises:
        UsageError: The weights do not fit the model.
    """
    if fetched.weights is not None:
        classifiers = import_module("zoo.models.sequence_classifier")  # transformers takes seconds to import
        classifier: nn.Module = classifiers.published_classifier(fetched.path, fetched.weights, _chosen(call))
        if classifier.code_note:
            builder.sources.report_once(f"note: {fetched.source}: {classifier.code_note}")
        return classifier
    model = builder.instance(architecture(call), "model", nn.Module)
    weights_file.load_into(model, fetched.path)
    return model


def _chosen(model: Call) -> dict[str, Any]:
    """Return the arguments of a model, with the kind of attention that its architecture or configuration chooses."""
    built = architecture(model)
    config = built.args.get("config")
    configured = config.args.get("attn_implementation") if isinstance(config, Call) else None
    return {**model.args, "attn_implementation": built.args.get("attn_implementation", configured)}
