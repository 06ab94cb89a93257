"""Sentence encoders with published weights, checked against the settings of sentence-transformers beside them."""

from collections.abc import Mapping
from typing import Any

from zoo.errors import UsageError
from zoo.fetch.fetched import Fetched
from zoo.fetch.sources import Source, Sources
from zoo.models.attention import Attention, check_attention
from zoo.models.auto_classes import ENCODER
from zoo.models.published import check_complete, load_published
from zoo.models.sentence_pooling import Pooling, SentenceEncoder
from zoo.models.sentence_settings import contradictions, max_seq_length_in, read_settings

POOLER = "pooler."
"""Weights of a layer that the embeddings do not read."""


def sentence_encoder(
    *, init: Source, pooling: Pooling, normalize: bool = False, attn_implementation: Attention | None = None
) -> SentenceEncoder:
    """Return a published encoder that gives the cosine of the embeddings of two texts.

    With `weights` that have their own configuration those are loaded, and `init` is not read.

    Args:
        init: The repository of the encoder, with the layout of sentence-transformers or only weights.
        pooling: The embedding of a text: the "mean" or the largest value ("max") of the hidden states of its tokens, or
            the state of the first ("cls") or "last" one. It must be the published one, if that is known.
        normalize: Whether embeddings are scaled to length 1. It must be the published setting, if that is known.
        attn_implementation: How attention is computed. Default: transformers chooses, usually `sdpa`.

    Raises:
        IntegrityError: The repository lacks weights of the encoder, or its settings cannot be read.
        UsageError: The published settings are others than those of the recipe, or this attention cannot be used.
    """
    arguments = {"pooling": pooling, "normalize": normalize, "attn_implementation": attn_implementation}
    return published_encoder(init.fetch(), init.sources, arguments)


def published_encoder(fetched: Fetched, sources: Sources, arguments: Mapping[str, Any]) -> SentenceEncoder:
    """Load a published encoder in fp32.

    The model gets the attributes `max_seq_length`, the published number of tokens that texts are cut to or None, and
    `code_note`, which says whether code of its repository was left out, or is None.

    Args:
        fetched: The weights in a repository or folder.
        sources: Fetch the settings beside the weights.
        arguments: The arguments of `sentence_encoder`.

    Raises:
        IntegrityError, UsageError: See `sentence_encoder`.
    """
    attention, pooling = arguments.get("attn_implementation"), arguments["pooling"]
    normalize = bool(arguments.get("normalize", False))
    check_attention(attention)
    encoder, missing = load_published(ENCODER, fetched.path, str(fetched.weights), attention)
    if encoder.config.is_encoder_decoder:
        raise UsageError(f"{fetched.source}: {type(encoder).__name__} has a decoder, which an embedding does not need")
    check_complete(fetched.weights_path, [name for name in missing if not name.startswith(POOLER)])
    model = SentenceEncoder(encoder, pooling, normalize=normalize)
    settings = read_settings(fetched.source, sources)
    if problem := next(contradictions(settings, pooling, normalize, encoder.config.hidden_size), None):
        raise UsageError(f"{fetched.source}: {problem}")
    model.max_seq_length = max_seq_length_in(settings)  # type: ignore[assignment]
    model.code_note = encoder.code_note
    if encoder.code_note:
        sources.report_once(f"note: {fetched.source}: {encoder.code_note}")
    if not settings:
        unknown = "it has no settings of sentence-transformers, so pooling and max_length are those of the recipe"
        sources.report_once(f"note: {fetched.source}: {unknown}")
    return model
