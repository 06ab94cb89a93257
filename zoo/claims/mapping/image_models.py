"""What the settings of a published image classifier say of it: one of transformers, or one of timm."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.claims.mapping.model_facts import ModelFacts, classes_in, require_weights
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.fetch.repository_files import CONFIG, PREPROCESSOR
from zoo.fetch.source_types import HubRepo

IMAGE_CLASSIFIER = "ForImageClassification"
_WORD = re.compile(r"\w{1,80}", re.ASCII)
_LOADING = re.compile(r"pretrained|checkpoint|cache|jit|script|config|^use$|^model_name$")
"""Arguments that load something, or replace those of the recipe."""
IMAGENET_CLASSES = 1000
"""The number of classes of a model of timm whose settings do not say it."""


def is_timm(settings: Mapping[str, Any]) -> bool:
    """Return whether settings are those of timm, which name an architecture and no `model_type`."""
    return isinstance(settings.get("architecture"), str) and "model_type" not in settings


def image_facts(repo: HubRepo, settings: Mapping[str, Any], names: Sequence[str]) -> ModelFacts:
    """Return the facts about an image classifier.

    Args:
        repo: The repository at its commit.
        settings: The content of its config.json.
        names: The files of the repository.

    Raises:
        UnmappedError: zoo cannot run the model.
    """
    require_weights(names)
    if is_timm(settings):
        return _of_timm(repo, settings)
    if PREPROCESSOR not in names:
        raise UnmappedError(Reason.NO_PREPROCESSING, f"it has no {PREPROCESSOR}")
    if settings.get("problem_type") == "multi_label_classification":
        raise UnmappedError(Reason.UNSUPPORTED_MODEL, "it gives an image several labels")
    classes, outputs = classes_in(settings)
    call = {"use": "image_classifier", "init": str(repo), "num_labels": outputs}
    return ModelFacts(
        repo=repo, inputs="image", kind="classification", outputs=outputs, classes=classes, model=call
    )  # fmt: skip


def _of_timm(repo: HubRepo, settings: Mapping[str, Any]) -> ModelFacts:
    if not _WORD.fullmatch(settings["architecture"]):  # timm would load `hf-hub:OWNER/NAME` from elsewhere
        raise UnmappedError(Reason.UNSUPPORTED_MODEL, f"{CONFIG}: architecture is no name")
    of_weights = settings.get("pretrained_cfg")
    known = {**(of_weights if isinstance(of_weights, Mapping) else {}), **settings}
    outputs, labels = known.get("num_classes"), known.get("label_names")
    outputs = outputs if type(outputs) is int and outputs > 0 else IMAGENET_CLASSES
    named = labels if isinstance(labels, list) and len(labels) == outputs else []
    names = tuple(map(str, named)) or tuple(f"LABEL_{number}" for number in range(outputs))
    call = {"use": "timm.create_model", "model_name": settings["architecture"]}
    return ModelFacts(
        repo=repo, inputs="image", kind="classification", outputs=outputs, classes=names,
        model={**call, **_arguments(known.get("model_args")), "num_classes": outputs},
    )  # fmt: skip


def _arguments(published: Any) -> dict[str, Any]:
    """Return the arguments of a model of timm. Those that could name a file or code are refused."""
    arguments = {} if published is None else published
    if not isinstance(arguments, Mapping):
        raise UnmappedError(Reason.UNSUPPORTED_MODEL, f"{CONFIG}: model_args are no JSON object")
    for key, value in arguments.items():
        items = value if isinstance(value, list) else [value]
        if not _is_word(key) or _LOADING.search(key) or not all(map(_is_plain, items)):
            raise UnmappedError(Reason.UNSUPPORTED_MODEL, f"{CONFIG}: the model argument {str(key)[:40]!r}")
    return dict(arguments)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float) or _is_word(value)
