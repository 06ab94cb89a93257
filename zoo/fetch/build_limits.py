"""Limits on what a recipe or published settings ask for, and the environment variables that raise them."""

import os
import re

from zoo.errors import UsageError

MAX_COUNT = 100_000
"""The largest number of layers, blocks or stages: libraries make a list of that length before they build any."""
COUNTS = re.compile(r"(?:.*_)?(?:layers?|depths?|blocks?|stages?|experts)(?:_.*)?")
DEFAULTS = {"ZOO_MAX_EPOCHS": 100_000, "ZOO_MAX_MODULES": 20_000, "ZOO_MAX_PARAMETERS": 2_000_000_000}


def limit(variable: str) -> int:
    """Return the limit that an environment variable sets, or its default. Raises UsageError if it is no number."""
    text = os.environ.get(variable, "")
    if text and not text.isdecimal():
        raise UsageError(f"{variable} must be a whole number, not {text!r}")
    return int(text) if text else DEFAULTS[variable]


def is_too_many(key: str, value: object) -> bool:
    """Return whether a setting asks for more layers, blocks or stages than any model has."""
    return isinstance(value, int) and value > MAX_COUNT and COUNTS.fullmatch(key) is not None
