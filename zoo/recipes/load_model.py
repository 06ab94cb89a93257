"""Load a recipe's model with weights."""

from dataclasses import replace
from importlib import import_module
from typing import Any

from torch import nn

from zoo.fetch import weights_file
from zoo.fetch.fetched import Fetched
from zoo.fetch.quantized_weights import is_quantized
from zoo.models.auto_classes import (
    ENCODER,
    IMAGE_CLASSIFIER,
    QUESTION_ANSWERER,
    SEGMENTATION,
    TEXT_CLASSIFIER,
    TOKEN_CLASSIFIER,
)
from zoo.models.size_limits import size_limits
from zoo.models.timm_models import TIMM, check_timm_recipe, published_classes, with_present_names
from zoo.recipes.build import Builder
from zoo.recipes.values import Call
from zoo.trusted_code import comes_from, is_part_of

OURS, TRANSFORMERS = "zoo.models", "transformers"
AUTO_CLASSES = {
    "bert_classifier": TEXT_CLASSIFIER, "sequence_classifier": TEXT_CLASSIFIER, "image_classifier": IMAGE_CLASSIFIER,
    "sentence_encoder": ENCODER, "token_classifier": TOKEN_CLASSIFIER, "question_answerer": QUESTION_ANSWERER,
}  # fmt: skip
"""Our models of transformers, and the class of transformers that loads them with their published configuration."""
OF_ARCHITECTURES = {
    "ForImageClassification": IMAGE_CLASSIFIER, "ForSemanticSegmentation": SEGMENTATION,
    "ForTokenClassification": TOKEN_CLASSIFIER,
    "ForQuestionAnswering": QUESTION_ANSWERER,
}  # fmt: skip
"""The same for architectures of transformers, by a part of their names; the others are text classifiers."""


def architecture(model: Call) -> Call:
    """Return the call to build if the weights come from elsewhere: `pretrained` then fetches no weights."""
    inner = model.args.get("model") if model.use == "pretrained" else None
    return architecture(inner) if isinstance(inner, Call) else model


def auto_class(model: Call) -> str | None:
    """Return the class of transformers that loads a model with its published configuration; None for other models."""
    name = architecture(model).use.removeprefix(f"{OURS}.")
    if name in AUTO_CLASSES:
        return AUTO_CLASSES[name]
    if not is_part_of(name, (TRANSFORMERS,)):
        return None
    return next((auto for part, auto in OF_ARCHITECTURES.items() if part in name), TEXT_CLASSIFIER)


def is_configured(model: Call, fetched: Fetched) -> bool:
    """Return whether weights are loaded with the configuration beside them, in place of the recipe's model."""
    return fetched.has_configuration and auto_class(model) is not None


def load_model(call: Call, fetched: Fetched, builder: Builder) -> nn.Module:
    """Return the model of a recipe with fetched weights.

    If the model is one of transformers, and the weights have a configuration beside them, they are loaded with that.
    Otherwise the recipe's model is built, and the weights are loaded into it.

    Args:
        call: The recipe's model.
        fetched: The weights: a file, or those in a repository or folder.
        builder: Builds the model.

    Raises:
        UsageError: The weights do not fit the model.
        IntegrityError: Files are damaged, or do not describe one complete model.
    """
    kind = auto_class(call)
    if kind == ENCODER and fetched.has_configuration:
        encoder: nn.Module = import_module("zoo.models.sentence_encoder").published_encoder(
            fetched, builder.sources, _chosen(call)
        )
        return encoder
    if kind is not None and fetched.has_configuration:
        loaders = import_module("zoo.models.published")  # transformers takes seconds to import
        classifier: nn.Module = loaders.published_classifier(fetched.path, fetched.weights, _chosen(call), kind)
        if classifier.code_note:
            builder.sources.report_once(f"note: {fetched.source}: {classifier.code_note}")
        return classifier
    model = _built(architecture(call), fetched, builder)
    if is_quantized(model):
        weights_file.load_into(model, fetched.weights_path)
        return model
    state = weights_file.read_fetched(fetched, model.state_dict())
    if comes_from(model, (TIMM,)):
        state = with_present_names(model, state)
    if unused := weights_file.load_state(model, state, fetched.weights_path):
        builder.sources.report_once(f"note: {fetched.source}: {weights_file.unused_note(unused)}")
    return model


def _built(call: Call, fetched: Fetched, builder: Builder) -> nn.Module:
    """Return the model of a call; one of timm with the arguments that only the configuration beside its weights names.

    Such a model gets the attribute `published_classes`, the names of its classes in the order of its outputs.
    """
    if fetched.weights is None or not is_part_of(call.use, (TIMM,)):
        return builder.instance(call, "model", nn.Module)
    name = str(call.args.get("model_name", call.use.rpartition(".")[2]))
    added = check_timm_recipe(name, call.args, fetched.path)
    with size_limits():
        model = builder.instance(replace(call, args={**call.args, **added}), "model", nn.Module)
    if added:
        shown = ", ".join(f"{key}: {value}" for key, value in added.items())
        builder.sources.report_once(f"note: {fetched.source}: config.json adds to the model {shown}")
    model.published_classes = published_classes(fetched.path)  # type: ignore[assignment]
    return model


def _chosen(model: Call) -> dict[str, Any]:
    """Return the arguments of a model, with the kind of attention that its architecture or configuration chooses."""
    built = architecture(model)
    config = built.args.get("config")
    configured = config.args.get("attn_implementation") if isinstance(config, Call) else None
    return {**model.args, "attn_implementation": built.args.get("attn_implementation", configured)}
