"""Variants with what came of them."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite

from harness.diagnosis.explain.candidates import Untried
from harness.diagnosis.explain.explanation import Attempt
from harness.diagnosis.explain.variant import Variant
from harness.diagnosis.explain.variant_runs import NOISE, SampleResult
from zoo.text_tables import counted

VariantAttempt = tuple[Variant, Attempt]


def plan(candidates: Sequence[Variant | Untried]) -> str:
    """Return how many changes follow, in words."""
    variants = [candidate for candidate in candidates if isinstance(candidate, Variant)]
    rescored = sum(variant.only_rescores for variant in variants)
    again = f"{len(variants) - rescored:,} compute outputs again"
    return f"{counted(len(variants), 'change')} to try: {rescored:,} score the same outputs, {again}"


def without_orders(tried: Sequence[VariantAttempt]) -> list[Attempt]:
    """Return the attempts; of other class orders those that agree, or else the nearest one, labeled as such."""
    orders = [attempt for variant, attempt in tried if variant.changed == {"order"}]
    best = [attempt for attempt in orders if attempt.agrees]
    if orders and not best:
        nearest = min(orders, key=distance_of)
        best = [replace(nearest, change=f"{nearest.change} (the nearest of {len(orders)} other orders)")]
    return [*best, *(attempt for variant, attempt in tried if variant.changed != {"order"})]


def distance_of(attempt: Attempt) -> float:
    """Return the distance of an attempt from the claims; infinity if it is unknown."""
    return attempt.distance if attempt.distance is not None and isfinite(attempt.distance) else inf


def no_effect(variant: Variant, sample: SampleResult) -> str:
    """Return why a variant cannot change a prediction of the split."""
    if variant.only_tokenizes:
        return "no effect: the tokens of all rows are the same"
    if variant.task is not None:
        return "no effect: the rows are the same"
    if sample.shift <= NOISE:
        return f"no effect: no logit of the sample moves by more than {NOISE:g}"
    return "no effect: no row's two largest logits are close enough to swap"
