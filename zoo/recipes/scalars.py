"""Read plain scalars as YAML 1.2 does: `1e-4` is a number, and `yes` is refused."""

import re
import sys

from yaml.nodes import ScalarNode

from zoo.recipes.values import InvalidValuesError

MAX_DIGITS = 400
MAX_INT = 2**63 - 1
_NULL = ("", "~", "null", "Null", "NULL")
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_BASES = {"0o": 8, "0x": 16}
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def read_scalar(node: ScalarNode) -> str | int | float | bool | None:
    """Return a scalar as YAML 1.2's core schema reads it; quoted scalars are text. Raise InvalidValuesError."""
    text: str = node.value
    if node.style is not None:
        return text
    if text in _NULL:
        return None
    if text in _TRUE + _FALSE:
        return text in _TRUE
    if text.lower() in ("yes", "no", "on", "off"):
        raise InvalidValuesError(f"{text} is neither true nor false in YAML 1.2; write true or false, or quote it")
    return _number(text) if _is_number(text) else text


def _number(text: str) -> int | float:
    if _NOT_FINITE.fullmatch(text):
        return float(text.lower().replace(".", ""))
    if len(text) > MAX_DIGITS:
        raise InvalidValuesError("the number is too large")
    if _BASED.fullmatch(text):
        number: int | float = int(text[2:], _BASES[text[:2]])
    else:
        number = int(text) if _INT.fullmatch(text) else float(text)
    if abs(number) > (MAX_INT if isinstance(number, int) else sys.float_info.max):
        raise InvalidValuesError("the number is too large")
    return number


def _is_number(text: str) -> bool:
    return any(pattern.fullmatch(text) for pattern in (_FLOAT, _BASED, _NOT_FINITE))
