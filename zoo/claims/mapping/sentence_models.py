"""Facts about a published sentence encoder, read from its settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.claims.mapping.model_facts import ModelFacts, max_length_of, require_tokenizer, require_weights
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.errors import IntegrityError, first_line
from zoo.fetch.repository_files import POOLING_CONFIG, SENTENCE_CONFIG
from zoo.fetch.source_types import HubRepo
from zoo.fetch.sources import Sources
from zoo.models.sentence_settings import contradictions, max_seq_length_in, normalizes, pooling_in, read_settings


def sentence_facts(
    repo: HubRepo, settings: Mapping[str, Any], names: Sequence[str], sources: Sources, folder: Path
) -> ModelFacts:
    """Return the facts about a sentence encoder. The arguments and errors are those of `text_facts`."""
    require_weights(names)
    require_tokenizer(names)
    try:
        published = read_settings(repo, sources)
    except IntegrityError as error:
        raise UnmappedError(Reason.UNSUPPORTED_MODEL, first_line(error)) from None
    pooling, normalize, hidden = pooling_in(published), normalizes(published), settings.get("hidden_size")
    if pooling is None:
        raise UnmappedError(Reason.UNSUPPORTED_MODEL, f"{POOLING_CONFIG} has no way of pooling that zoo computes")
    if problem := next(contradictions(published, pooling, normalize, hidden if type(hidden) is int else None), None):
        raise UnmappedError(Reason.UNSUPPORTED_MODEL, problem)
    max_length, source = max_length_of(repo, settings, names, sources, folder)
    if (declared := max_seq_length_in(published)) is not None:
        max_length, source = declared, f"max_seq_length in {SENTENCE_CONFIG}"
    call = {"use": "sentence_encoder", "init": str(repo), "pooling": pooling, "normalize": normalize}
    return ModelFacts(
        repo=repo, inputs="sentence", kind="similarity", outputs=1, classes=(), model=call,
        max_length=max_length, length_source=source,
    )  # fmt: skip
