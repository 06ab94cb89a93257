"""Tokenizers that a recipe can name."""

from pathlib import Path
from typing import Any, Literal

from tokenizers.normalizers import BertNormalizer
from transformers import AutoTokenizer, BertTokenizer

from zoo.errors import IntegrityError, UsageError, first_line
from zoo.fetch.sources import Source

Side = Literal["left", "right"]


def wordpiece(*, vocab: Source, lowercase: bool = True, padding_side: Side | None = None) -> BertTokenizer:
    """BERT's WordPiece tokenizer over the vocabulary file at source `vocab`; cased where `lowercase` is false.

    It pads on the right, unless `padding_side` says left.
    """
    return BertTokenizer(vocab=str(vocab.fetch().path), do_lower_case=lowercase, **_given(padding_side))


def published(*, of: Source, lowercase: bool | None = None, padding_side: Side | None = None) -> Any:
    """The tokenizer that is published in the repository `of`, with its own settings where these are left out.

    Raises UsageError where `lowercase` is given and it is not one of BERT's, which alone have that switch.
    """
    fetched = of.fetch("tokenizer")
    try:
        tokenizer = AutoTokenizer.from_pretrained(Path(fetched.path), trust_remote_code=False, **_given(padding_side))
    except Exception as error:  # every tokenizer raises errors of its own for a damaged file
        said = first_line(error)
        raise IntegrityError(f"{fetched.path}: no tokenizer can be loaded: {type(error).__name__}: {said}") from error
    if lowercase is not None:
        _lower(tokenizer, lowercase, of.name)
    return tokenizer


def _given(padding_side: Side | None) -> dict[str, Side]:
    """Nothing where it is left out: what is given is saved with the tokenizer."""
    return {} if padding_side is None else {"padding_side": padding_side}


def _lower(tokenizer: Any, lowercase: bool, name: str) -> None:
    normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
    if not isinstance(normalizer, BertNormalizer):
        raise UsageError(f"{name}: {type(tokenizer).__name__} has no switch `lowercase`; leave it out")
    normalizer.lowercase = lowercase
    tokenizer.backend_tokenizer.normalizer = normalizer
    tokenizer.do_lower_case = tokenizer.init_kwargs["do_lower_case"] = lowercase  # what is saved with a model
