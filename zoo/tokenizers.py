"""Tokenizers that a recipe can name."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, BertTokenizer

from zoo.errors import IntegrityError, first_line
from zoo.sources import Source


def wordpiece(*, vocab: Source, lowercase: bool = True) -> BertTokenizer:
    """BERT's WordPiece tokenizer over the vocabulary file at source `vocab`; cased where `lowercase` is false."""
    return BertTokenizer(vocab=str(vocab.fetch().path), do_lower_case=lowercase)


def published(*, of: Source) -> Any:
    """The tokenizer that is published in the repository `of`."""
    fetched = of.fetch("tokenizer")
    try:
        return AutoTokenizer.from_pretrained(Path(fetched.path), trust_remote_code=False)
    except Exception as error:  # every tokenizer raises errors of its own for a damaged file
        said = first_line(error)
        raise IntegrityError(f"{fetched.path}: no tokenizer can be loaded: {type(error).__name__}: {said}") from error
