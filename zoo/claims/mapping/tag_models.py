"""Facts about a published classifier of words, its metrics, and the columns of words and tags of a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.claims.mapping.columns import Columns
from zoo.claims.mapping.data_card import DataConfig
from zoo.claims.mapping.model_facts import ModelFacts, text_facts
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.claims.metric_names import MetricName
from zoo.claims.published import PublishedClaim
from zoo.class_names import has_names, match_classes
from zoo.errors import UsageError
from zoo.fetch.source_types import HubRepo
from zoo.fetch.sources import Sources
from zoo.tasks.entities import NO_SCHEME, find_scheme

OF_TOKENS = "ForTokenClassification"
WORDS = ("tokens", "words")
"""Names of the column of words."""
TAGS = ("ner_tags", "tags", "ner", "labels", "pos_tags", "pos", "upos", "chunk_tags")
"""Names of the column of tags, the likeliest first."""
AVERAGES = (None, "micro", "macro", "weighted")
SCORES = ("f1", "precision", "recall")


def tag_facts(
    repo: HubRepo, settings: Mapping[str, Any], names: Sequence[str], sources: Sources, folder: Path
) -> ModelFacts:
    """Return the facts about a classifier of words. The arguments and errors are those of `text_facts`."""
    facts = text_facts(repo, settings, names, sources, folder)
    return replace(facts, inputs="word", kind="tags", model={**facts.model, "use": "token_classifier"})


def tag_metric(claim: PublishedClaim, found: MetricName, classes: Sequence[str]) -> tuple[str, dict[str, Any], str]:
    """Return the metric of a claim on tags: its name in a recipe, its arguments, and what was assumed.

    A score without a level is taken to be of whole entities, as `run_ner.py` of transformers reports it.

    Raises:
        UnmappedError: zoo does not compute the metric, or it has several definitions.
    """
    if found.variant or found.of_class or found.name not in (*SCORES, "accuracy"):
        raise UnmappedError(Reason.UNKNOWN_METRIC, f"{claim.metric!r}: {found} of tags")
    if found.average not in AVERAGES:
        raise UnmappedError(Reason.UNDEFINED_METRIC, f"{claim.metric!r}: the {found.average} average of tags")
    if found.name == "accuracy":
        if found.level == "entity" or found.average:
            raise UnmappedError(Reason.UNDEFINED_METRIC, f"{claim.metric!r}: {found} of tags")
        return "token_accuracy", {}, "the share of all words, also those outside of entities"
    are_entities = tags_scheme(classes) != NO_SCHEME
    if found.level == "entity" and not are_entities:
        raise UnmappedError(Reason.UNDEFINED_METRIC, f"{claim.metric!r}: the tags of the model form no entities")
    if not are_entities and found.average is None:
        raise UnmappedError(Reason.UNDEFINED_METRIC, f"{claim.metric!r}: write `average:`, with `zoo recipe`")
    level = found.level or ("entity" if are_entities else "token")
    arguments: dict[str, Any] = {} if found.average in (None, "micro") else {"average": found.average}
    arguments |= {"strict": True} if found.is_strict and level == "entity" else {}
    other = "token_" if level == "entity" else "entity_"
    assumed = f"of {'whole entities, as seqeval' if level == 'entity' else 'single tokens'}"
    assumed += f" counts them, not {other}{found.name}" if level == "entity" else f", not {other}{found.name}"
    return f"{level}_{found.name}", arguments, "" if found.level else assumed


def tags_scheme(classes: Sequence[str]) -> str:
    """Return the scheme of a model's tags; `none` if they form no entities, and empty if the model has no names."""
    if not has_names(classes):
        return ""
    try:
        return find_scheme("", classes)
    except UsageError:
        return NO_SCHEME


def choose_tag_columns(data: DataConfig, model: ModelFacts) -> Columns:
    """Return the columns of words and tags.

    Args:
        data: The data set.
        model: The model, whose classes decide between several columns of tags.

    Raises:
        UnmappedError: No rule finds them.
    """
    roles = {role: column for column, role in data.mapping.items()}
    if "tokens" in roles and "tags" in roles:
        return Columns(inputs=(roles["tokens"],), label=roles["tags"], found_by="the data set's train-eval-index")
    shown = f"columns: {', '.join(data.columns) or 'the card lists none'}"
    words = [name for name in WORDS if name in data.lists]
    if not words:
        raise UnmappedError(Reason.NO_TEXT, shown)
    tags = {name: classes for name, classes in data.lists.items() if name not in words}
    fitting = [name for name, classes in tags.items() if classes and _is_same(classes, model.classes)]
    named = [name for name in TAGS if name in (fitting or tags)]
    label = next(iter(fitting if len(fitting) == 1 else named), None)
    if label is None:
        raise UnmappedError(Reason.NO_LABEL, shown)
    return Columns(inputs=(words[0],), label=label, found_by="the names and types of the columns in the card")


def _is_same(classes: Sequence[str], of_model: Sequence[str]) -> bool:
    if len(classes) != len(of_model):
        return False
    try:
        match_classes(of_model, classes, side="the model", other="the data")
    except UsageError:
        return False
    return True
