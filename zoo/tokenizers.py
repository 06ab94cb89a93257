"""The tokenizers that recipes can name."""

from typing import Any, Literal

from tokenizers.normalizers import BertNormalizer
from transformers import AutoTokenizer, BertTokenizer

from zoo.errors import IntegrityError, UsageError, first_line
from zoo.fetch.offline import offline
from zoo.fetch.published_settings import code_note, verified_view
from zoo.fetch.sources import Source

Side = Literal["left", "right"]
SPECIAL = ("eos", "unk", "bos")
"""Special tokens that a recipe can name as its padding token."""


def wordpiece(
    *, vocab: Source, lowercase: bool = True, padding_side: Side | None = None, pad_token: str | None = None
) -> BertTokenizer:
    """Return BERT's WordPiece tokenizer.

    Args:
        vocab: The vocabulary file, one token per line.
        lowercase: Convert texts to lower case. Use False for a cased vocabulary.
        padding_side: The side that is saved with a trained model; zoo itself always pads on the right.
        pad_token: The token that pads rows, as in `published`. Default: [PAD].
    """
    tokenizer = BertTokenizer(vocab=str(vocab.fetch().path), do_lower_case=lowercase, **_optional(padding_side))
    if pad_token is not None:
        _set_padding(tokenizer, pad_token, vocab.name)
    return tokenizer


def published(
    *,
    of: Source,
    lowercase: bool | None = None,
    padding_side: Side | None = None,
    pad_token: str | None = None,
) -> Any:
    """Return the tokenizer of a repository, with its published settings unless an argument changes them.

    Args:
        of: The repository.
        lowercase: Convert texts to lower case. Only BERT's tokenizers have this setting.
        padding_side: The side that is saved with a trained model; zoo itself always pads on the right.
        pad_token: The token that pads rows: a token of the vocabulary, or `eos`, `unk` or `bos` for the special token.
            Default: the tokenizer's padding token, else its `eos`, else its `unk`.

    Raises:
        IntegrityError: The files of the tokenizer cannot be loaded.
        UsageError: The tokenizer does not have the setting `lowercase`, or the token `pad_token`.
    """
    fetched = of.fetch("tokenizer")
    try:
        with verified_view(fetched.path, fetched.names) as view, offline():
            tokenizer = AutoTokenizer.from_pretrained(view, trust_remote_code=False, **_optional(padding_side))
    except IntegrityError:
        raise
    except Exception as error:  # for a damaged file every tokenizer raises its own exceptions
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise IntegrityError(f"{fetched.path}: the tokenizer cannot be loaded: {reason}") from error
    if note := code_note(fetched.path, fetched.names):
        of.sources.report_once(f"note: {fetched.source}: {note}")
    tokenizer.name_or_path = tokenizer.init_kwargs["name_or_path"] = str(fetched.path)
    if lowercase is not None:
        _set_lowercase(tokenizer, lowercase, of.name)
    if pad_token is not None:
        _set_padding(tokenizer, pad_token, of.name)
    return tokenizer


def _optional(padding_side: Side | None) -> dict[str, Side]:
    """Leave the argument out if it is None: transformers saves every argument with the tokenizer."""
    return {} if padding_side is None else {"padding_side": padding_side}


def _set_padding(tokenizer: Any, pad_token: str, name: str) -> None:
    token = getattr(tokenizer, f"{pad_token}_token", None) if pad_token in SPECIAL else pad_token
    if token is None or token not in tokenizer.get_vocab():
        special = [kind for kind in SPECIAL if getattr(tokenizer, f"{kind}_token", None) is not None]
        known = f"; it has {', '.join(special)}" if special else ""
        raise UsageError(f"{name}: the vocabulary has no token {pad_token!r} to pad with{known}")
    tokenizer.pad_token = token


def _set_lowercase(tokenizer: Any, lowercase: bool, name: str) -> None:
    normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
    if not isinstance(normalizer, BertNormalizer):
        raise UsageError(f"{name}: {type(tokenizer).__name__} has no setting 'lowercase'; leave it out of the recipe")
    normalizer.lowercase = lowercase
    tokenizer.backend_tokenizer.normalizer = normalizer
    tokenizer.do_lower_case = tokenizer.init_kwargs["do_lower_case"] = lowercase  # so that it is saved with a model
