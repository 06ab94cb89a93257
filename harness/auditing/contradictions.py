"""The contradiction rule: two claims of one model, metric and split cannot have different values.

A few predictions of difference are numeric noise of two machines. If the author names no split and the data set has
several with labels, that for training included, two different values may both be right.
"""

import math

from harness.auditing.results import Result, Score
from harness.auditing.types import Finding
from zoo.claims.printed import Printed
from zoo.claims.split_names import is_declared

FEW = 0.001
"""The share of predictions, at least two of them, that differ between honest runs on two machines."""


def check_contradictions(results: list[Result]) -> None:
    """Add a finding to every two claims of one thing whose values differ by more than rounding."""
    seen: dict[tuple[object, ...], list[Score]] = {}
    for score in (score for result in results for score in result):
        key = _key(score)
        if key is None:
            continue
        earlier = seen.get(key, [])
        apart = [other for other in earlier if not _value(score).overlaps(_value(other))]
        if apart:
            other = max(apart, key=lambda each: abs(_value(each).value - _value(score).value))
            score.findings.append(_finding(score, other))
            other.findings.append(_finding(other, score))
        seen[key] = _lowest_and_highest([*earlier, score])


def _lowest_and_highest(scores: list[Score]) -> list[Score]:
    """Return the two scores of which at least one differs from a further score if any of the scores does."""
    lowest = min(scores, key=lambda score: _value(score).interval(loose=True)[1])
    return [lowest, max(scores, key=lambda score: _value(score).interval(loose=True)[0])]


def _key(score: Score) -> tuple[object, ...] | None:
    """Return what a claim is about; None if that is not clear."""
    if score.printed is None or score.metric is None or not score.is_single:
        return None
    claim, data = score.claim, score.data_set
    if data is None:
        named = (claim.dataset, claim.dataset_name, claim.config, claim.split, claim.revision, claim.n)
        return (claim.model, claim.task, score.metric, *named) if is_declared(claim.split) else None
    splits = data.find_splits(claim.split)
    if len(splits) != 1:
        return None
    config = data.config or claim.config.lower()  # such as the languages of one data set
    rows = claim.n or data.rows[splits[0]]
    return (claim.model, claim.task, score.metric, data.id, config, splits[0], rows)


def _finding(score: Score, other: Score) -> Finding:
    difference = abs(_value(score).value - _value(other).value)
    sizes = {*score.sizes.values()} & {*other.sizes.values()}
    at, text = other.claim.mark, other.claim.text.strip()
    if len(sizes) == 1:
        (n,) = sizes
        apart = round(difference * n)
        if apart <= max(2, math.ceil(FEW * n)):
            what = "one prediction" if apart == 1 else f"{apart:,} predictions"
            return Finding(rule="contradiction", verdict="uninformative", text=f"{what} apart from line {at.line}")
        found = f"line {at.line} claims {text} of the same, {apart:,} predictions apart"
        return Finding(rule="contradiction", verdict="inconsistent", text=found)
    if difference <= FEW:
        return Finding(rule="contradiction", verdict="uninformative", text=f"line {at.line} says {text}")
    return Finding(rule="contradiction", verdict="inconsistent", text=f"line {at.line} claims {text} of the same")


def _value(score: Score) -> Printed:
    assert score.printed is not None
    return score.printed
