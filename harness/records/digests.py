"""Strict JSON, and the digests by which a record shows that it was not edited."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

RECORD_DIGEST = "record_sha256"
"""The field of a record with the digest of everything else in it."""


def read_json(text: str) -> Any:
    """Return the value of a JSON text; raises ValueError for one that programs read in different ways.

    Such texts name a key twice, or have numbers that are not finite.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_float=_number, parse_constant=_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def json_digest(data: Any) -> str:
    """Return the SHA-256 of a value as JSON with sorted keys, without spaces, and with non-ASCII text as `\\u` escapes.

    Numbers are written as Python writes them, which is how `record.json` has them.
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def record_digest(data: Mapping[str, Any]) -> str:
    """Return the digest of a record's content without the digest itself."""
    return json_digest({name: value for name, value in data.items() if name != RECORD_DIGEST})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice")
    return found


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number
