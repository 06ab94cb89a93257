"""The tokenizers that recipes can name."""

from typing import Any, Literal

from tokenizers.normalizers import BertNormalizer
from transformers import AutoTokenizer, BertTokenizer

from zoo.errors import IntegrityError, UsageError, first_line
from zoo.fetch.offline import offline
from zoo.fetch.published_settings import code_note, verified_view
from zoo.fetch.sources import Source

Side = Literal["left", "right"]


def wordpiece(*, vocab: Source, lowercase: bool = True, padding_side: Side | None = None) -> BertTokenizer:
    """Return BERT's WordPiece tokenizer.

    Args:
        vocab: The vocabulary file, one token per line.
        lowercase: Convert texts to lower case. Use False for a cased vocabulary.
        padding_side: "left" or "right". Default: right.
    """
    return BertTokenizer(vocab=str(vocab.fetch().path), do_lower_case=lowercase, **_optional(padding_side))


def published(*, of: Source, lowercase: bool | None = None, padding_side: Side | None = None) -> Any:
    """Return the tokenizer of a repository, with its published settings unless an argument changes them.

    Args:
        of: The repository.
        lowercase: Convert texts to lower case. Only BERT's tokenizers have this setting.
        padding_side: "left" or "right".

    Raises:
        IntegrityError: The files of the tokenizer cannot be loaded.
        UsageError: The tokenizer does not have the setting `lowercase`.
    """
    fetched = of.fetch("tokenizer")
    names = fetched.names if fetched.files else [path.name for path in fetched.path.iterdir() if path.is_file()]
    try:
        with verified_view(fetched.path, names) as view, offline():
            tokenizer = AutoTokenizer.from_pretrained(view, trust_remote_code=False, **_optional(padding_side))
    except IntegrityError:
        raise
    except Exception as error:  # for a damaged file every tokenizer raises its own exceptions
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise IntegrityError(f"{fetched.path}: the tokenizer cannot be loaded: {reason}") from error
    if note := code_note(fetched.path, names):
        of.sources.report_once(f"note: {fetched.source}: {note}")
    tokenizer.name_or_path = tokenizer.init_kwargs["name_or_path"] = str(fetched.path)
    if lowercase is not None:
        _set_lowercase(tokenizer, lowercase, of.name)
    return tokenizer


def _optional(padding_side: Side | None) -> dict[str, Side]:
    """Leave the argument out if it is None: transformers saves every argument with the tokenizer."""
    return {} if padding_side is None else {"padding_side": padding_side}


def _set_lowercase(tokenizer: Any, lowercase: bool, name: str) -> None:
    normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
    if not isinstance(normalizer, BertNormalizer):
        raise UsageError(f"{name}: {type(tokenizer).__name__} has no setting 'lowercase'; leave it out of the recipe")
    normalizer.lowercase = lowercase
    tokenizer.backend_tokenizer.normalizer = normalizer
    tokenizer.do_lower_case = tokenizer.init_kwargs["do_lower_case"] = lowercase  # so that it is saved with a model
