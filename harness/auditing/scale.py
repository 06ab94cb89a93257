"""The scale rule: is a score written as a fraction or as a per cent?

A percent sign decides; then a value above 1, which can only be a per cent; then the other scores of the same result. A
value below 1 among per cents is unclear: it is taken for a per cent first, and for a fraction on another scale if the
other rules exclude that. Luck has no part in this rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.auditing.types import AuditVerdict, Finding
from zoo.claims.metric_names import CORRELATIONS, MetricName
from zoo.claims.numbers import WrittenNumber
from zoo.claims.printed import Printed, printed


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A score on the scale of fractions, and what was found on its scale."""

    printed: Printed | None
    """None if the number is outside of every scale."""
    finding: Finding | None = None
    is_unclear: bool = False
    """Whether the score was taken for a per cent, and may be a fraction."""


def scale_all(scores: Sequence[tuple[MetricName, WrittenNumber]], *, unclear_are_fractions: bool) -> list[Scaled]:
    """Put the scores of one result on the scale of fractions.

    Args:
        scores: The metrics and their values.
        unclear_are_fractions: Whether values below 1 among per cents are taken for fractions.
    """
    are_percents = any(number.is_percent or abs(number.value) > 1 for _, number in scores)
    return [_scale(*score, among_percents=are_percents, as_fraction=unclear_are_fractions) for score in scores]


def _scale(metric: MetricName, number: WrittenNumber, *, among_percents: bool, as_fraction: bool) -> Scaled:
    value, is_correlation = number.value, metric.name in CORRELATIONS
    if abs(value) > 100 or (value < 0 and not is_correlation):
        limits = "-100 to 100" if is_correlation else "0 to 100"
        return Scaled(printed=None, finding=_finding("impossible", f"{value} is outside of {limits}"))
    if number.is_percent or abs(value) > 1 or value == 0:
        return Scaled(printed=printed(number, percent=number.is_percent or among_percents))
    if among_percents and not as_fraction:
        return Scaled(printed=printed(number, percent=True), is_unclear=True)
    text = f"{value} is written as a fraction, and other scores of the same result as per cents"
    is_mixed = among_percents and not is_correlation
    return Scaled(printed=printed(number, percent=False), finding=_finding("inconsistent", text) if is_mixed else None)


def _finding(verdict: AuditVerdict, text: str) -> Finding:
    return Finding(rule="scale", verdict=verdict, text=text)
