"""Score predictions of tags in the other ways that authors do, to find what a claim that differs may be about.

Cards often have scores of single tokens, which are higher, under the same name as those of whole entities. A claim that
fits another reading is not reproduced: the sentence only says where the claimed value may come from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from harness import entity_metrics
from zoo.recipes.claim import Claim

AVERAGES = ("micro", "macro", "weighted")
LEVELS = {"entity": "entity-level", "token": "token-level"}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A score of the same predictions by another metric than the claim's."""

    name: str
    """The metric for readers: `token-level f1 (micro)`."""
    value: float


def other_readings(metric: str, arrays: Mapping[str, NDArray[Any]]) -> tuple[Reading, ...]:
    """Return the scores of other metrics than `metric` on the same predictions; none if it is none of tags.

    The first one is that of the other level, with the micro average.
    """
    level, _, kind = metric.partition("_")
    if level not in LEVELS or "words" not in arrays:
        return ()
    other = "token" if level == "entity" else "entity"
    score = "f1" if kind == "accuracy" else kind
    found = [reading for each in (other, level) for reading in _of_level(each, score, arrays)]
    return (*found, Reading(name="token-level accuracy", value=entity_metrics.token_accuracy(arrays["words"])))


def _of_level(level: str, score: str, arrays: Mapping[str, NDArray[Any]]) -> Iterator[Reading]:
    metric = getattr(entity_metrics, f"{level}_{score}")
    if level == "token":
        for average in AVERAGES:
            value = metric(arrays["words"], average=average)
            yield Reading(name=f"{LEVELS[level]} {score} ({average})", value=value)
    elif "entities" in arrays:
        for strict in (False, True):
            for average in AVERAGES:
                value = metric(arrays["entities"], average=average, strict=strict)
                mode = ", strict" if strict else ""
                yield Reading(name=f"{LEVELS[level]} {score} ({average}{mode})", value=value)


def reading_sentence(claim: Claim, value: float, readings: tuple[Reading, ...], tolerance: float) -> str:
    """Return which other reading has the claimed value; without one, the score of the other level.

    Args:
        claim: The claim, whose score differs from the measured one.
        value: The measured score.
        readings: Those of `other_readings`.
        tolerance: The largest difference between a claimed value and its score.
    """
    if not readings or claim.value is None:
        return ""
    level, _, kind = claim.metric.partition("_")
    others = [reading for reading in readings if abs(reading.value - value) > tolerance]
    found = next((each for each in others if abs(each.value - claim.value) <= tolerance), None)
    measured = f"{claim.metric} is the {LEVELS[level]} {kind}"
    if found is None:
        return f"{measured}; of the same predictions the {readings[0].name} is {readings[0].value:.4f}."
    return f"{measured}; the claimed value fits the {found.name} of the same predictions, {found.value:.4f}."
