"""The values that a catalogue becomes: entries with their recipes, and the rows that zoo cannot evaluate."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

Facts = Mapping[str, Any]
"""Facts about an entry that need no reading of its recipe, by the names in `COLUMNS`; None or missing if unknown."""

COLUMNS: Mapping[str, str] = {
    "name": "name of the entry",
    "suite": "suite of the entry",
    "model": "name of the architecture or model in its library",
    "params": "million parameters",
    "img_size": "width of an input in pixels",
    "crop_pct": "share of the resized image that the crop keeps",
    "interpolation": "how images are resized",
    "quantized": "whether the weights are quantized",
    "accuracy": "claimed accuracy; pixel accuracy of a segmentation, average precision of a detection; as a fraction",
    "claims": "number of claims",
    "megabytes": "size of the weights",
}
"""The columns of a suite, and what they mean."""
LINE = 118
"""The longest line of a generated recipe."""


@dataclass(frozen=True, kw_only=True)
class GeneratedEntry:
    """One entry of a generated suite."""

    name: str
    recipe: str
    """The text of the recipe."""
    facts: Facts = field(default_factory=dict)
    not_compared: str = ""
    """Why its claims cannot be compared with anything; then nothing is run."""


@dataclass(frozen=True, kw_only=True)
class Unsupported:
    """A row of a catalogue that zoo cannot evaluate."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class GeneratedSuite:
    """The entries that were made from a catalogue."""

    origin: str
    """The origin of the entries, for readers."""
    entries: Sequence[GeneratedEntry]
    unsupported: Sequence[Unsupported] = ()


def recipe_text(comments: Sequence[str], recipe: Mapping[str, Any], claims: Sequence[Mapping[str, Any]]) -> str:
    """Return a recipe as text: comments, one key after another, and the claims, each with its source on a second line.

    Args:
        comments: The lines of the comment at the top.
        recipe: The recipe without its claims.
        claims: The claims; the last key of each is `source`.
    """
    head = "".join(f"# {line}\n" for line in comments)
    return f"{head}{_dump(recipe, LINE)}claims:\n{''.join(map(_claim_text, claims))}"


def _claim_text(claim: Mapping[str, Any]) -> str:
    values = _dump({key: value for key, value in claim.items() if key != "source"}, math.inf, flow=True)
    return f"  - {values.strip().removesuffix('}')},\n     source: {json.dumps(claim['source'])}}}\n"


def _dump(value: Mapping[str, Any], width: float, *, flow: bool | None = None) -> str:
    text: str = yaml.safe_dump(dict(value), sort_keys=False, default_flow_style=flow, width=width)
    return text
