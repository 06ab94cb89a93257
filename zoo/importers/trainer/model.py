"""The model that a card's training starts from, and what is known about it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from zoo.claims.mapping.data_card import repository_files
from zoo.claims.mapping.model_facts import ModelFacts, classes_in, max_length_of
from zoo.errors import UsageError
from zoo.fetch.published_settings import CODE
from zoo.fetch.repository_files import CONFIG
from zoo.fetch.source_types import HUB, HubRepo
from zoo.fetch.sources import Sources
from zoo.importers.settings import Notes, shown
from zoo.importers.trainer.card import TrainerCard

OWNERS: Mapping[str, str] = {
    "google-bert": "bert-base-uncased bert-base-cased bert-large-uncased bert-large-cased bert-base-chinese"
    " bert-base-multilingual-cased bert-base-multilingual-uncased bert-base-german-cased",
    "FacebookAI": "roberta-base roberta-large roberta-large-mnli xlm-roberta-base xlm-roberta-large",
    "distilbert": "distilbert-base-uncased distilbert-base-cased distilbert-base-multilingual-cased distilroberta-base"
    " distilbert-base-uncased-finetuned-sst-2-english",
    "albert": "albert-base-v1 albert-base-v2 albert-large-v2 albert-xlarge-v2 albert-xxlarge-v2",
    "xlnet": "xlnet-base-cased xlnet-large-cased",
    "almanach": "camembert-base",
}
"""Owners on the Hub, and the models of before 2024 that cards name without them."""
_OWNED = {name: f"{owner}/{name}" for owner, names in OWNERS.items() for name in names.split()}
_BARE = re.compile(r"\w[\w.-]{0,95}", re.ASCII)
Inputs = Literal["text", "word", "image"]
KINDS: Mapping[str, Inputs] = {
    "ForSequenceClassification": "text",
    "ForTokenClassification": "word",
    "ForImageClassification": "image",
}
"""Ends of the names of architectures that zoo trains, and what they read."""
MODELS: Mapping[Inputs, str] = {"text": "sequence_classifier", "word": "token_classifier", "image": "image_classifier"}
MULTILABEL = "multi_label_classification"


def base_model(card: TrainerCard, sources: Sources, notes: Notes) -> HubRepo | None:
    """Return the repository of the base model; None, and an obstacle, if the card names none.

    Raises:
        SourceError: The Hub cannot be asked for the owner of a model that is named without one.
    """
    if card.base is None:
        message = "the card names no base model: add `base_model: OWNER/NAME` to its front matter"
        notes.refuse(card.start, message)
        return None
    name = str(card.base.value)
    if "/" not in name and _BARE.fullmatch(name):
        name = _OWNED.get(name) or sources.hub.canonical_name(HubRepo("model", name))
    try:
        return HubRepo.parse(f"{HUB}{name}")
    except UsageError:
        message = f"base_model: {shown(name)} is no model of the Hub, but perhaps a folder; write OWNER/NAME"
        notes.refuse(card.base.mark, message)
        return None


def facts_about(card: TrainerCard, base: HubRepo, sources: Sources, notes: Notes) -> ModelFacts | None:
    """Return the facts about the trained model, with the base model as its repository.

    Returns:
        The facts; None, and an obstacle, if `config.json` is missing or describes no classifier.

    Raises:
        SourceError: The repository cannot be read.
    """
    if not card.settings:
        message = f"{CONFIG} is not beside the card, and only it has the classes; put it there, or name OWNER/NAME"
        notes.refuse(card.start, message)
        return None
    inputs = _inputs(card, notes)
    if inputs is None:
        return None
    classes, outputs = classes_in(card.settings)
    model = {"use": MODELS[inputs], "init": str(base), "num_labels": outputs}
    kind = "tags" if inputs == "word" else _kind(card.settings, inputs, outputs)
    facts = ModelFacts(repo=base, inputs=inputs, outputs=outputs, kind=kind, classes=classes, model=model)
    if inputs == "image":
        return facts
    length, source = _max_length(card, base, sources)
    notes.assume(f"the card does not say at how many tokens texts were cut; max_length is {length} ({source})")
    return replace(facts, max_length=length, length_source=source)


def _kind(settings: Mapping[str, Any], inputs: Inputs, outputs: int) -> str:
    if settings.get("problem_type") == MULTILABEL:
        return "multilabel"
    return "regression" if outputs == 1 and inputs == "text" else "classification"


def _inputs(card: TrainerCard, notes: Notes) -> Inputs | None:
    listed = card.settings.get("architectures")
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    found = next((kind for end, kind in KINDS.items() if any(name.endswith(end) for name in names)), None)
    if found is None or card.settings.get(CODE):
        what = "code of its repository" if found else names[0][:80] if names else "no architecture"
        message = f"{CONFIG} names {what}; zoo trains classifiers of texts, words and images of transformers"
        notes.refuse(card.start, f"{message}; write the recipe by hand, see docs/recipes.md")
        return None
    return found


def _max_length(card: TrainerCard, base: HubRepo, sources: Sources) -> tuple[int, str]:
    repository, settings = card.repository, dict[str, Any](card.settings)
    names = [] if repository is None else repository_files(repository, sources, "tokenizer")
    return max_length_of(repository or base, settings, names, sources, card.folder)
