"""Facts about a published image classifier of transformers or timm, read from its settings."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.claims.mapping.model_facts import ModelFacts, classes_in, require_weights
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.errors import UsageError
from zoo.fetch.repository_files import CONFIG, PREPROCESSOR
from zoo.fetch.source_types import HubRepo
from zoo.fetch.timm_settings import is_timm, timm_arguments, with_weights_settings

_NAME = re.compile(r"\w{1,80}", re.ASCII)
IMAGE_CLASSIFIER = "ForImageClassification"
IMAGENET_CLASSES = 1000
"""The number of classes of a model of timm whose settings do not say it."""


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
    if not _NAME.fullmatch(settings["architecture"]):  # timm would load `hf-hub:OWNER/NAME` from elsewhere
        raise UnmappedError(Reason.UNSUPPORTED_MODEL, f"{CONFIG}: architecture is no name")
    known = with_weights_settings(settings)
    try:
        arguments = {"num_classes": IMAGENET_CLASSES, **timm_arguments(known)}
    except UsageError as error:
        raise UnmappedError(Reason.UNSUPPORTED_MODEL, f"{CONFIG}: {error}") from None
    outputs, labels = arguments["num_classes"], known.get("label_names")
    if outputs == 0:
        raise UnmappedError(Reason.UNSUPPORTED_MODEL, f"{CONFIG}: num_classes is 0: it has no classifier")
    named = labels if isinstance(labels, list) and len(labels) == outputs else []
    names = tuple(map(str, named)) or tuple(f"LABEL_{number}" for number in range(outputs))
    call = {"use": "timm.create_model", "model_name": settings["architecture"]}
    return ModelFacts(
        repo=repo, inputs="image", kind="classification", outputs=outputs, classes=names, model={**call, **arguments}
    )  # fmt: skip
