"""Limits on what a recipe or published settings ask for, and the environment variables that raise them."""

import os
import re

from zoo.errors import UsageError

COUNTS = re.compile(
    r"(?!.*_(?:size|dim|width)$)(?:(?:.*_)?(?:layers?|depths?|blocks?|stages?|experts)(?:_.*)?"
    r"|(?:num|n|nb|number_of)_(?:.*_)?(?:labels?|class|classes|heads?|groups?)(?:_.*)?)"
)
"""Settings that count layers, classes and the like: libraries make a list of that length before they build any."""
DEFAULTS = {
    "ZOO_MAX_EPOCHS": 100_000,
    "ZOO_MAX_LAYERS": 100_000,
    "ZOO_MAX_MODULES": 20_000,
    "ZOO_MAX_PARAMETERS": 2_000_000_000,
    "ZOO_MAX_BUILD_SECONDS": 60,
}


def limit(variable: str) -> int:
    """Return the limit that an environment variable sets, or its default. Raises UsageError if it is no number."""
    text = os.environ.get(variable, "")
    if text and not text.isdecimal():
        raise UsageError(f"{variable} must be a whole number, not {text!r}")
    return int(text) if text else DEFAULTS[variable]


def too_many(key: str, value: object) -> str | None:
    """Return what is wrong with a number of layers, classes and the like above ZOO_MAX_LAYERS, or None."""
    if not isinstance(value, int) or not COUNTS.fullmatch(key) or value <= (most := limit("ZOO_MAX_LAYERS")):
        return None
    return f"{value:,} is more than {most:,}; ZOO_MAX_LAYERS raises this limit"
