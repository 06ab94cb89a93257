"""From judgements of claims to what `zoo explain` needs of them."""

from collections.abc import Mapping
from math import inf

from harness.diagnosis.explain.explanation import ClaimResult
from harness.judging.types import Judgement
from harness.runs.experiment import Experiment
from zoo.claims.recipe_claims import fits_rows
from zoo.recipes.public_data import full_rows
from zoo.recipes.values import Call

SINGLE = 1e-7
"""The largest error of a score that was computed in single precision."""


def tolerance(judgement: Judgement) -> float:
    """Return the largest difference from the claim that counts as reproduced; infinity if nothing was compared."""
    return inf if judgement.equivalent is None else (judgement.equivalent[1] - judgement.equivalent[0]) / 2


def claim_result(judgement: Judgement, experiment: Experiment) -> ClaimResult:
    """Return a claim with its result when the recipe is followed."""
    claim, call = judgement.claim, experiment.recipe.task
    rows = None if judgement.measured is None else len(experiment.task.load(claim.split))
    known = None if rows is None else full_rows(call, claim.split, rows)
    claimed = known if claim.size is None else claim.size
    is_misfit = judgement.verdict == "not-compared" and rows is not None and claimed in (None, rows)
    return ClaimResult(
        split=claim.split, metric=claim.metric, claimed=claim.value, as_run=judgement.measured,
        verdict=judgement.verdict, why=judgement.why, decimals=claim.printed_decimals, rows=rows,
        claimed_rows=claimed, data=_data_name(call, claim.split),
        fits_no_rows=is_misfit and not fits_rows(claim, rows or 0),
    )  # fmt: skip


def _data_name(task: Call, split: str) -> str:
    """Return the source of a split as the recipe names it; empty if the recipe names none."""
    data = task.args.get("data", "")
    return str(data.get(split, "") if isinstance(data, Mapping) else data)


def difference(judgement: Judgement) -> float:
    """Return the difference between value and claim; infinity if nothing was measured."""
    return inf if judgement.measured is None else abs(judgement.measured - (judgement.claim.value or 0.0))


def is_exact(judgement: Judgement) -> bool:
    """Return whether the value equals the claim to its last digit, rounded or cut off."""
    claim, measured = judgement.claim, judgement.measured
    if measured is None or claim.value is None or claim.decimals is None:
        return False
    unit, excess = 10.0**-claim.decimals, measured - claim.value
    return abs(excess) <= unit / 2 + SINGLE or 0 <= excess < unit
