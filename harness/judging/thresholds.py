"""Compare the threshold of a multilabel task with the one that a claim was measured with."""

from harness.judging.types import Measurement
from zoo.recipes.claim import Claim
from zoo.tasks.thresholds import HALF


def other_threshold(claim: Claim, measured: Measurement) -> str:
    """Return why the labels of a run were not chosen as those of a claim were, or an empty text.

    A claim that states nothing about the threshold was measured with one half.
    """
    scored, chosen_on = measured.scoring.get("threshold"), measured.scoring.get("threshold_from")
    if scored is None:
        states_one = claim.threshold is not None or claim.threshold_from is not None
        return f"{claim.split!r} was scored without a threshold, which the claim names." if states_one else ""
    if chosen_on == claim.split:
        return (
            f"The threshold {scored:g} was chosen on {claim.split!r} itself, which makes scores on it too good;"
            " name another split in `threshold_from`, or claim a score on another split."
        )
    if claim.threshold_from == claim.split:
        return (
            f"Claimed with a threshold chosen on {claim.split!r} itself, which makes scores on it too good; zoo never"
            " chooses a threshold on the split that is scored. Claim a score on another split."
        )
    if claim.threshold_from is not None:
        return "" if claim.threshold_from == chosen_on else _chosen_elsewhere(claim, scored, chosen_on)
    claimed = HALF if claim.threshold is None else claim.threshold
    if claimed == scored:
        return ""
    names_none = " (the claim names none)" if claim.threshold is None else ""
    or_split = f", or `threshold_from: {chosen_on}`," if chosen_on else ""
    return (
        f"Measured with the threshold {scored:g}, but claimed with {claimed:g}{names_none}; write"
        f" `threshold: {scored:g}`{or_split} in the claim if it was measured with it."
    )


def _chosen_elsewhere(claim: Claim, scored: float, chosen_on: str | None) -> str:
    found = f"that was chosen on {chosen_on!r}" if chosen_on else "that was not chosen by scores"
    advice = f"write `threshold_from: {claim.threshold_from}` in the task to choose it there"
    return (
        f"Claimed with a threshold chosen on {claim.threshold_from!r}, but measured with {scored:g}, {found}; {advice}."
    )
