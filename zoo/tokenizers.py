"""Tokenizers that a recipe can name."""

from transformers import BertTokenizer

from zoo import sources


def wordpiece(*, vocab: str, lowercase: bool = True) -> BertTokenizer:
    """BERT's WordPiece tokenizer over the vocabulary file at source `vocab`; cased where `lowercase` is false."""
    return BertTokenizer(vocab=str(sources.fetch(vocab).path), do_lower_case=lowercase)
