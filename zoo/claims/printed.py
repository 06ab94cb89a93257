"""The values that a printed number can stand for.

A number with d decimals stands for every value within half a unit of its last decimal; if it was cut off or rounded
twice, for up to a whole unit more. Numbers of 15 to 17 digits are floats: their last digits depend on the order of
operations. Values computed in single or half precision have more digits than they are exact to, also if they are then
turned into per cents (`100 * accuracy.item()`) or subtracted from one in double precision.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from zoo.claims.numbers import WrittenNumber

SLACK = 1e-12
"""Errors of a computation in double precision, in units of a share. Shares of a million rows differ by far more."""
FLOAT_DIGITS = 12
"""A number of at least so many significant digits is a float as Python prints it."""
HALF_DIGITS, PERHAPS_HALF_DIGITS, PERHAPS_HALF_DECIMALS = 7, 5, 4
"""With 7 digits, a value that half precision or bf16 can hold is one. With fewer, it may be a rounded one too."""
_SINGLE, _HALF = 2.0**-22, 2.0**-8
"""Relative errors of a few operations in single precision, and in half precision or bf16."""
_ULPS = 4e-16
"""Errors of one or two operations in double precision."""
_DOUBLE = 1e-10
"""The unit of a value in double precision is smaller."""


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A printed score as a fraction: 85.78 % is 0.8578, with a unit of 0.0001."""

    value: float
    unit: float
    """One unit of the last decimal that means something."""
    half_error: float = 0.0
    """How far the value may be off if it was computed in half precision, and its few digits may also be rounded."""
    is_complement: bool = False
    """Whether the author printed 1 - value, so that a cut off value is too large instead of too small."""

    @property
    def complement(self) -> "Printed":
        """The accuracy that a printed error rate implies: 1 - value, with the same digits."""
        return replace(self, value=1 - self.value, is_complement=not self.is_complement)

    def scaled(self, factor: float) -> "Printed":
        """Return the value on another scale: 0.01 for a per cent that was read as a fraction."""
        scaled = {key: getattr(self, key) * factor for key in ("value", "unit", "half_error")}
        return replace(self, **scaled)

    def interval(self, *, loose: bool = False) -> tuple[float, float]:
        """Return the smallest and the largest value that it can stand for.

        Args:
            loose: Whether it may be cut off, or rounded twice, instead of rounded.
        """
        below, above = (0.55 * self.unit, self.unit) if loose else (self.unit / 2, self.unit / 2)
        if loose:
            least = max(_SINGLE / 2 * max(abs(self.value), 1.0) if self._may_be_single else 0.0, self.half_error)
            below, above = max(below, least), max(above, least)
        if self.value < 0 or self.is_complement:
            below, above = above, below
        return self.value - below - SLACK, self.value + above + SLACK

    def interval_if_cut_off(self) -> tuple[float, float]:
        """Return the interval of the values that give this one if further decimals are cut off."""
        inside = SLACK + min(SLACK, self.unit / 1000)
        return self.value - SLACK, self.value + self.unit - inside

    @property
    def loosely(self) -> str:
        """How the value may be printed if it is not rounded: words for a report."""
        if self.half_error:
            return "if cut off or in half precision"
        if self.unit <= _DOUBLE:
            return "if in single precision"
        return "if cut off or in single precision" if self._may_be_single else "if cut off"

    @property
    def _may_be_single(self) -> bool:
        """Whether it has as many digits as a value in single precision, or more."""
        return self.unit < 2e-7

    def width(self, *, loose: bool = False) -> float:
        """Return the length of the interval."""
        low, high = self.interval(loose=loose)
        return high - low

    def overlaps(self, other: "Printed") -> bool:
        """Return whether both can stand for the same value."""
        (low, high), (other_low, other_high) = self.interval(loose=True), other.interval(loose=True)
        return low <= other_high and other_low <= high


def printed(number: WrittenNumber, *, percent: bool) -> Printed:
    """Return a number as a fraction.

    Args:
        number: The number as it is written.
        percent: Whether it is a per cent.
    """
    scale = Decimal("0.01") if percent else Decimal(1)
    unit, digits, value = 10.0**-number.decimals, number.value.as_tuple().digits, float(number.value)
    has_digits = len(digits) >= PERHAPS_HALF_DIGITS or number.decimals >= PERHAPS_HALF_DECIMALS
    is_half = has_digits and bool(digits[-1]) and (_is_half(value) or _is_half(float(number.value / 100)))
    if digits[-1] and (len(digits) >= FLOAT_DIGITS or (is_half and len(digits) >= HALF_DIGITS)):
        unit = _unit_of_float(value, unit)  # Python prints no zeros at the end
    share = float(number.value * scale)
    return Printed(value=share, unit=unit * float(scale), half_error=_HALF * abs(share) if is_half else 0.0)


def _unit_of_float(value: float, unit: float) -> float:
    """Return the unit of a float's last digit that means something: 0.01 for 85.78000000000002 or 85.77999877929688."""
    for decimals in range(1, 7):
        if abs(round(value, decimals) - value) <= _ULPS * max(abs(value), 1.0):
            return 10.0**-decimals
    for single, scale in _singles(value):
        short = next(text for digits in range(1, 10) if _single(float(text := f"{single:.{digits}g}")) == single)
        decimals = len(short.partition(".")[2]) if "e" not in short else 9
        error = _HALF if _is_half(single) else _SINGLE
        return scale * (10.0**-decimals if decimals <= 6 else 2 * max(abs(single), abs(value) / scale) * error)
    return unit


def _singles(value: float) -> Iterator[tuple[float, float]]:
    """Yield the single-precision numbers that the value was computed from in double precision, with their scale."""
    for scale in (1.0, 100.0):
        share = value / scale
        for candidate in (share, 1 - share):
            if abs(candidate - (single := _single(candidate))) <= _ULPS / 2:
                yield single, scale


def _single(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _is_half(value: float) -> bool:
    """Return whether half precision or bf16 can hold a value: its mantissa has at most eleven bits."""
    numerator, _ = value.as_integer_ratio()
    while numerator and numerator % 2 == 0:
        numerator //= 2
    return abs(numerator) < 2**11
