"""Facts about a published model, read from its settings and its list of files. No weights are downloaded."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from zoo.claims.hub_card import MAX_BYTES
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.errors import MissingError
from zoo.fetch.card_files import CARD
from zoo.fetch.published_settings import TOKENIZER
from zoo.fetch.repository_files import CONFIG, INDEX, WANTS, WEIGHTS
from zoo.fetch.source_types import HubRepo
from zoo.fetch.sources import Sources

OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "roberta-prelayernorm", "data2vec-text", "xmod", "ernie_m")
"""Kinds of models whose first positions are not for tokens, two with the usual padding."""
NO_LIMIT = 100_000
"""A tokenizer without a limit says 1e30."""
DEFAULT_LENGTH = 512
_CARD_LENGTH = re.compile(r"max[_ ]?seq(?:uence)?[_ ]?len(?:gth)?\W{1,6}(\d{2,5})\b", re.IGNORECASE)
"""A limit of tokens in the text of a card, such as `max_seq_length: 128`. `max_length` may be that of a generation."""
_CODE_BLOCK = re.compile(r"(?ms)^ *(```|~~~).*?(?:^ *\1|\Z)")
"""An example of use, which says nothing about the evaluation."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A model of the Hub that zoo can evaluate.

    Attributes:
        repo: The repository at its commit.
        inputs: What it reads: `text`, `word` for a classifier of words, `image`, `question` with a text that has its
            answer, or `sentence` for an encoder of sentences.
        outputs: The number of outputs; 1 for a regression.
        kind: `classification`, `multilabel`, `regression`, `tags`, `answers` or, of an encoder, `similarity`.
        classes: The names of the classes in the order of the outputs; LABEL_0 and so on where the model has none.
            An encoder has no classes.
        model: The call of the model in a recipe.
        max_length: The number of tokens that the model reads; 0 if it reads no texts.
        length_source: What says so.
    """

    repo: HubRepo
    inputs: Literal["text", "word", "image", "sentence", "question"] = "text"
    outputs: int
    kind: str
    classes: tuple[str, ...]
    model: Mapping[str, Any] = field(default_factory=dict)
    max_length: int = 0
    length_source: str = ""

    @property
    def has_classes(self) -> bool:
        """Whether it predicts classes, not a number."""
        return self.kind not in ("regression", "similarity", "answers")


def text_facts(
    repo: HubRepo, settings: Mapping[str, Any], names: Sequence[str], sources: Sources, folder: Path
) -> ModelFacts:
    """Return the facts about a text classifier.

    Args:
        repo: The repository at its commit.
        settings: The content of its config.json.
        names: The files of the repository.
        sources: Fetches the settings of the tokenizer.
        folder: The folder with the card.

    Raises:
        UnmappedError: zoo cannot run the model.
        SourceError: The repository cannot be read.
    """
    require_weights(names)
    require_tokenizer(names)
    classes, outputs = classes_in(settings)
    max_length, source = max_length_of(repo, settings, names, sources, folder)
    return ModelFacts(
        repo=repo, outputs=outputs, kind=_kind(settings, outputs), classes=classes,
        model={"use": "sequence_classifier", "init": str(repo), "num_labels": outputs},
        max_length=max_length, length_source=source,
    )  # fmt: skip


def require_weights(names: Sequence[str]) -> None:
    """Raise UnmappedError if there is no file of weights."""
    if not any(name in names for name in (*WEIGHTS, INDEX)):
        raise UnmappedError(Reason.NO_WEIGHTS, _some(names))


def require_tokenizer(names: Sequence[str]) -> None:
    """Raise UnmappedError if there is no file of a tokenizer."""
    if not any(name in names for name in WANTS["tokenizer"] if name not in (CONFIG, TOKENIZER)):
        raise UnmappedError(Reason.NO_TOKENIZER, _some(names))


def classes_in(settings: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """Return the names of the classes, as transformers reads them, and the number of outputs."""
    by_number = settings.get("id2label")
    if isinstance(by_number, Mapping) and by_number:
        numbers = sorted(by_number, key=lambda number: (len(str(number)), str(number)))
        return tuple(str(by_number[number]) for number in numbers), len(numbers)
    outputs = settings.get("num_labels", 2)
    outputs = outputs if isinstance(outputs, int) and 0 < outputs < NO_LIMIT else 2
    return tuple(f"LABEL_{number}" for number in range(outputs)), outputs


def _kind(settings: Mapping[str, Any], outputs: int) -> str:
    if settings.get("problem_type") == "multi_label_classification":
        return "multilabel"
    return "regression" if outputs == 1 else "classification"


def max_length_of(
    repo: HubRepo, settings: Mapping[str, Any], names: Sequence[str], sources: Sources, folder: Path
) -> tuple[int, str]:
    """Return the number of tokens to cut a row to, and what says so: the card, the tokenizer or the configuration."""
    positions = _positions(settings)
    declared = _length_in_card(folder)
    if declared is not None and declared <= (positions or NO_LIMIT):
        return declared, "the text of the card"
    limit = _tokenizer_settings(repo, names, sources).get("model_max_length")
    if isinstance(limit, int | float) and 0 < limit < NO_LIMIT and limit <= (positions or NO_LIMIT):
        return int(limit), f"model_max_length in {TOKENIZER}"
    if positions is not None:
        return positions, f"max_position_embeddings in {CONFIG}"
    return DEFAULT_LENGTH, "nothing declares a limit"


def _positions(settings: Mapping[str, Any]) -> int | None:
    positions = settings.get("max_position_embeddings")
    if not isinstance(positions, int) or not 0 < positions < NO_LIMIT:
        return None
    padding = settings.get("pad_token_id")
    offset = 1 + (padding if isinstance(padding, int) else 1) if settings.get("model_type") in OFFSET_POSITIONS else 0
    return max(positions - offset, 1)


def _length_in_card(folder: Path) -> int | None:
    with suppress(OSError):
        with (folder / CARD).open(encoding="utf-8", errors="replace") as file:
            found = _CARD_LENGTH.search(_CODE_BLOCK.sub("", file.read(MAX_BYTES)))
        return int(found[1]) if found else None
    return None


def _tokenizer_settings(repo: HubRepo, names: Sequence[str], sources: Sources) -> Mapping[str, Any]:
    if TOKENIZER not in names:
        return {}
    with suppress(MissingError, ValueError, RecursionError):
        settings = json.loads((sources.fetch(repo, TOKENIZER).path / TOKENIZER).read_text(encoding="utf-8"))
        return settings if isinstance(settings, Mapping) else {}
    return {}


def _some(names: Sequence[str]) -> str:
    return f"it has {', '.join(sorted(names)[:12])}"
