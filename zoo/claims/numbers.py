"""Read a score as an author wrote it: `0.8578`, `85.8 %`, `20.0 ± 1.2`."""

import re
from dataclasses import dataclass
from decimal import Decimal

_SPREAD = r"(?:±|\+/-|\+-|\\pm)"
_DIGITS = r"(?:\d+(?:[.,]\d+)?|[.]\d+)(?:[eE][-+]?\d+)?"
_WRITTEN = re.compile(rf"[~≈]?\s*([-+]?{_DIGITS})\s*(%?)\s*(?:{_SPREAD}\s*({_DIGITS})\s*(%?))?")
MAX_CHARACTERS = 60
MAX_EXPONENT = 30


@dataclass(frozen=True, kw_only=True)
class WrittenNumber:
    """A number as it is written."""

    value: Decimal
    decimals: int
    """The number of decimals that are written: 2 for 85.70, 17 for 8.578431372549019e-02."""
    is_percent: bool = False
    """Whether a percent sign follows it. Without one, both 0.857 and 85.7 are common."""
    spread: Decimal | None = None
    """The number after `±`, which may be a standard deviation, a standard error or an interval."""


def read_number(text: str) -> WrittenNumber | None:
    """Return the number that a text is, or None if it is no finite number.

    A comma is a decimal point: scores have no thousands.
    """
    found = _WRITTEN.fullmatch(text.strip()) if len(text) <= MAX_CHARACTERS else None
    if found is None:
        return None
    number, percent, spread, spread_percent = found.groups()
    value = _decimal(number)
    if abs(value.adjusted()) > MAX_EXPONENT:
        return None
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)  # the pattern has neither infinity nor NaN
    return WrittenNumber(
        value=value,
        decimals=max(-exponent, 0),
        is_percent=bool(percent or spread_percent),
        spread=_decimal(spread) if spread else None,
    )


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))
