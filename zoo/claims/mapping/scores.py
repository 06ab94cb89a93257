"""The value of a claim as a fraction, with the decimals that were published."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from zoo.claims.counts import can_be_count
from zoo.claims.data_sets import find_data_set
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.claims.metric_names import read_metric
from zoo.claims.printed import printed
from zoo.claims.published import PublishedClaim
from zoo.recipes.claim import MAX_DECIMALS, SHARES

LARGEST_FRACTION = Decimal(1)


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score as a fraction."""

    value: Decimal
    decimals: int
    """The number of decimals of the fraction that are known, at most 16."""
    is_percent: bool
    """Whether it is published in per cent."""

    @property
    def text(self) -> str:
        """The fraction with all its decimals."""
        return f"{self.value:.{self.decimals}f}"


def read_score(claim: PublishedClaim, siblings: Iterable[PublishedClaim] = ()) -> Score:
    """Return the score of a claim.

    A value with a percent sign, or above 1, is in per cent. A smaller one is a fraction, unless another claim of the
    same metric on the same rows is in per cent: then the scale on which an accuracy is a share of the rows counts.

    Args:
        claim: The claim.
        siblings: Other claims of the model.

    Raises:
        UnmappedError: The value is no number, no score, a mean of several runs, or its scale is unclear.
    """
    number = claim.number
    if number is None:
        raise UnmappedError(Reason.NO_NUMBER, claim.text)
    if number.spread is not None:
        raise UnmappedError(Reason.MEAN_OF_RUNS, claim.text)
    if abs(number.value) > 100:
        raise UnmappedError(Reason.OUT_OF_RANGE, claim.text)
    is_percent = number.is_percent or abs(number.value) > LARGEST_FRACTION
    if not is_percent and any(_is_same(claim, other) and _is_percent(other) for other in siblings):
        is_percent = _scale_by_counts(claim)
    value = number.value / 100 if is_percent else number.value
    decimals = math.floor(1e-9 - math.log10(printed(number, percent=is_percent).unit))
    return Score(value=value, decimals=min(decimals, MAX_DECIMALS), is_percent=is_percent)


def fits(score: Score, metric: str, rows: int | None) -> bool:
    """Return whether a score can be a share of this number of rows; True if that is unknown or the metric is none."""
    return metric not in SHARES or rows is None or can_be_count(float(score.value), score.decimals, rows)


def _scale_by_counts(claim: PublishedClaim) -> bool:
    """Return whether only per cent make a value of at most 1 a share of the rows; raises if neither scale is alone."""
    metric, sizes = read_metric(claim), _sizes(claim)
    name = metric.name if metric else ""
    scales = [read_score(replace(claim, text=text)) for text in (claim.text, f"{claim.text} %")]
    fraction, percent = (any(fits(score, name, size) for size in sizes or [None]) for score in scales)
    if fraction == percent:
        raise UnmappedError(Reason.UNCLEAR_SCALE, claim.text)
    return percent


def _sizes(claim: PublishedClaim) -> list[int | None]:
    """Return the numbers of rows that a claim may be about, as far as they are known without the Hub."""
    if claim.n is not None:
        return [claim.n]
    known = find_data_set(claim)
    return [known.rows[split] for split in known.find_splits(claim.split)] if known else []


def _is_same(claim: PublishedClaim, other: PublishedClaim) -> bool:
    def key(each: PublishedClaim) -> tuple[str | int | None, ...]:
        data = each.dataset, each.dataset_name, each.config, each.split, each.n
        return each.metric, each.average, each.model, *data

    return claim is not other and key(claim) == key(other)


def _is_percent(claim: PublishedClaim) -> bool:
    number = claim.number
    return number is not None and (number.is_percent or LARGEST_FRACTION < abs(number.value) <= 100)
