"""Claims as plain data, and the claims beside a record that no recipe describes. Never imports torch."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from harness.records.digests import read_json
from zoo.errors import UsageError, ZooError
from zoo.recipes.claim import Claim, Of, Precision, Selection
from zoo.recipes.row_subset import RowSubset

CLAIMS = "claims.json"
"""The file beside a record with the claims about a run that was imported."""
_CHOICES = MappingProxyType({"of": get_args(Of), "precision": get_args(Precision), "selection": get_args(Selection)})
_TEXTS, _WHOLE = ("split", "metric", "source"), ("decimals", "n", "reference_runs", "failures", "seeds")
_LEFT_OUT = ("rows", "threshold", "threshold_from")
"""Fields that are left out if they are None, so that other claims have the data of earlier versions."""
_OPTIONAL = ("value", "log", "decimals", "n", "sigma", "prior", *_LEFT_OUT)


def claim_data(claim: Claim) -> dict[str, Any]:
    """Return a claim as plain data, without its positions in a recipe."""
    data = {field.name: getattr(claim, field.name) for field in fields(claim) if field.name != "marks"}
    data = {name: value for name, value in data.items() if value is not None or name not in _LEFT_OUT}
    return {**data, "written": dict(claim.written)}


def claim_from(data: Any) -> Claim:
    """Return the claim that `claim_data` describes.

    Raises:
        ValueError: The data is not that of a claim.
    """
    names = {field.name for field in fields(Claim)} - {"marks"}
    if not isinstance(data, dict) or not set(data) <= names:
        raise ValueError("a claim has unknown keys")
    for name, value in data.items():
        if not _fits(name, value):
            raise ValueError(f"a claim's {name!r} cannot be {str(value)[:100]!r}")
    try:
        rows = {} if data.get("rows") is None else {"rows": RowSubset.parse(data["rows"])}
        return Claim(**{**data, **rows})
    except (TypeError, ZooError) as error:
        raise ValueError(str(error)) from None


def read_claims(record: Path) -> tuple[Claim, ...]:
    """Return the claims beside a record file; none if there is no such file. Raise UsageError if it is damaged."""
    path = record.parent / CLAIMS
    if not path.is_file():
        return ()
    try:
        return tuple(map(claim_from, read_json(path.read_text(encoding="utf-8"))))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path}: not the claims about a run: {error}") from None


def claims_text(claims: Iterable[Claim]) -> str:
    """Return the content of the file that `read_claims` reads."""
    return json.dumps([claim_data(claim) for claim in claims], indent=1, sort_keys=True, allow_nan=False) + "\n"


def _fits(name: str, value: Any) -> bool:
    """Return whether a value has the type of a claim's field."""
    if value is None:
        return name in _OPTIONAL
    if name in _CHOICES:
        return value in _CHOICES[name]
    if name == "written":
        return isinstance(value, Mapping) and all(isinstance(text, str) for text in [*value, *value.values()])
    if name == "gates":
        return isinstance(value, bool)
    kinds: Any = str if name in (*_TEXTS, "log", "rows", "threshold_from") else int if name in _WHOLE else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool)
