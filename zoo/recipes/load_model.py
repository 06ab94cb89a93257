"""From a recipe's model and verified files to a model with weights."""

from torch import nn

from zoo.fetch import weights_file
from zoo.fetch.sources import Fetched
from zoo.models.sequence_classifier import published_classifier
from zoo.recipes.build import Builder
from zoo.recipes.reader import Call


def architecture(model: Call) -> Call:
    """What is built where a model's weights come from elsewhere: `pretrained` need not fetch its own."""
    inner = model.args.get("model") if model.use == "pretrained" else None
    return architecture(inner) if isinstance(inner, Call) else model


def load_model(call: Call, fetched: Fetched, builder: Builder) -> nn.Module:
    """The model that a recipe names, with weights.

    A repository's, and those of a folder of transformers, come with their own configuration and are loaded as they are;
    for any other the model is built, and the file loaded into it.
    """
    if fetched.weights is not None:
        published: nn.Module = published_classifier(fetched.path, fetched.weights, call.args)
        return published
    model: nn.Module = builder.build(architecture(call), "model")
    weights_file.load_into(model, fetched.path)
    return model
