"""Read what kind of model a repository of the Hub has. No weights are downloaded."""

from collections.abc import Mapping
from typing import Any

from zoo.claims.mapping.data_card import repository_files
from zoo.claims.mapping.image_models import IMAGE_CLASSIFIER, image_facts
from zoo.claims.mapping.model_facts import ModelFacts, text_facts
from zoo.claims.mapping.question_models import QUESTION_ANSWERER, question_facts
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.claims.mapping.sentence_models import sentence_facts
from zoo.claims.mapping.tag_models import OF_TOKENS, tag_facts
from zoo.fetch.published_settings import CODE, is_code_ignored
from zoo.fetch.repository_files import CLAIMS, CONFIG, MODULES
from zoo.fetch.source_types import HubRepo
from zoo.fetch.sources import Sources
from zoo.fetch.timm_settings import is_timm

TEXT_CLASSIFIER = "ForSequenceClassification"


def read_model(repo: HubRepo, settings: Mapping[str, Any], sources: Sources) -> ModelFacts:
    """Return the facts about a model.

    Args:
        repo: The repository at its commit.
        settings: The content of its config.json.
        sources: Lists the files, and fetches settings.

    Raises:
        UnmappedError: zoo cannot run the model.
        SourceError: The repository cannot be read.
    """
    listed = settings.get("architectures")
    architectures = [str(name) for name in listed] if isinstance(listed, list) else []
    folder = sources.fetch(repo, CLAIMS).path
    if settings.get(CODE) and not is_code_ignored(folder / CONFIG):
        raise UnmappedError(Reason.CUSTOM_CODE, f"{CONFIG}: {CODE}")
    if is_timm(settings) or any(name.endswith(IMAGE_CLASSIFIER) for name in architectures):
        return image_facts(repo, settings, repository_files(repo, sources, "weights", "preprocessing"))
    names = repository_files(repo, sources, "weights", "tokenizer")
    if any(name.endswith(OF_TOKENS) for name in architectures):
        return tag_facts(repo, settings, names, sources, folder)
    is_classifier = any(name.endswith(TEXT_CLASSIFIER) for name in architectures)
    if any(name.endswith(QUESTION_ANSWERER) for name in architectures):
        return question_facts(repo, settings, names, sources, folder)
    if MODULES in names and not is_classifier:
        return sentence_facts(repo, settings, names, sources, folder)
    if not is_classifier:
        what = f"it is a {architectures[0]}" if architectures else f"{CONFIG} names no architecture"
        raise UnmappedError(Reason.UNSUPPORTED_MODEL, what)
    return text_facts(repo, settings, names, sources, folder)
