"""D3xx: claims that cannot be compared, or whose comparison says little."""

from collections.abc import Iterable, Iterator
from decimal import ROUND_CEILING, Context

from zoo.claims.recipe_claims import fits_rows
from zoo.doctor.entry_facts import EntryFacts
from zoo.doctor.hazards import Hazard
from zoo.recipes.claim import CORRELATIONS, SHARES, Claim, sampling_sigma

MIN_COUNTS = 2
"""A rounded score is reported from this many numbers of right answers on that round to it."""
MANY_RUNS = 5
"""The standard deviation of at least this many reference runs is taken as it was measured."""


def unscored_splits(facts: EntryFacts) -> Iterator[Hazard]:
    """D301: claims about splits that nobody can score, or about two splits with the same metric."""
    first: dict[tuple[str, str], str] = {}
    of_train = {"train", facts.recipe.holdout.name} if facts.recipe.holdout else {"train"}
    for claim, marks in facts.claims:
        mark = marks["split"]
        is_hidden = facts.data is not None and claim.split in facts.data.hidden
        if claim.of == "test-server":
            message = f"the labels of {claim.split} are hidden: the claim is shown and never compared"
            fix = "also claim the score of a split with public labels"
            yield Hazard(code="D301", severity="note", mark=mark, message=message, fix=fix)
        elif is_hidden or (facts.data is not None and claim.split not in {*facts.data.rows, *of_train}):
            splits = _joined(facts.data.rows) if facts.data else ""
            message = f"{claim.split} has hidden labels" if is_hidden else f"no split {claim.split!r} can be scored"
            message += f"; the data set has labels for {splits}"
            fix = f"claim {splits}" + ("; write `of: test-server` for a score of the server" if is_hidden else "")
            yield Hazard(code="D301", severity="error", mark=mark, message=message, fix=fix)
        elif (other := first.setdefault((claim.of, claim.metric), claim.split)) != claim.split:
            message = f"{claim.metric} is claimed on {other} and on {claim.split}: take care which one you compare"
            fix = "nothing, if both are meant"
            yield Hazard(code="D301", severity="note", mark=mark, message=message, fix=fix)


def other_sizes(facts: EntryFacts) -> Iterator[Hazard]:
    """D302: claims about another number of examples than the split has."""
    for claim, marks in facts.claims:
        rows = facts.data.rows.get(claim.split) if facts.data else None
        if claim.n is not None and claim.rows is None and rows is not None and claim.n != rows:
            yield Hazard(
                code="D302", severity="warning", mark=marks["n"],
                message=f"the score is of {claim.n:,} examples, and {claim.split} has {rows:,}: they are not compared",
                fix=f"claim the score of all {rows:,}, or name data of {claim.n:,}",
            )  # fmt: skip


def missing_sigmas(facts: EntryFacts) -> Iterator[Hazard]:
    """D303: references of a training whose spread over seeds is unknown."""
    for claim, marks in facts.claims:
        if claim.of == "retrain" and claim.sigma is None and claim.prior is None:
            lower_bound = "zoo uses the sampling error of the test set, which is a lower bound"
            consequence = lower_bound if claim.metric in SHARES else "no difference can be judged"
            yield Hazard(
                code="D303", severity="note", mark=marks["of"],
                message=f"no sigma: the spread of runs over seeds is unknown, so {consequence}",
                fix="train five or more reference runs and claim their mean and standard deviation",
            )  # fmt: skip


def coarse_roundings(facts: EntryFacts) -> Iterator[Hazard]:
    """D304: scores that are rounded more coarsely than to one example."""
    for claim, marks in facts.claims:
        n = _examples(facts, claim)
        if claim.of == "weights" and claim.decimals is not None and n and claim.metric in SHARES:
            counts = n / 10**claim.decimals
            if counts >= MIN_COUNTS:
                message = (
                    f"{claim.decimals} decimals for {n:,} examples: {counts:.0f} counts of right answers look alike"
                )
                yield Hazard(
                    code="D304", severity="note", mark=marks.get("decimals", marks["value"]), message=message,
                    fix="give more decimals, if the source has them",
                )  # fmt: skip


def trivial_scores(facts: EntryFacts) -> Iterator[Hazard]:
    """D305: scores that need no model."""
    for claim, marks in facts.claims:
        baseline = _baseline(facts, claim)
        if claim.value is not None and baseline is not None and claim.value <= baseline + 1e-6:
            predictor = f"always predicting the most frequent class, which scores {baseline:.4f}"
            yield Hazard(
                code="D305", severity="warning" if claim.gates else "note", mark=marks["value"],
                message=f"{claim.value:.4f} is no better than {predictor}",
                fix="add gates: false, so that the claim does not count for the verdict",
            )  # fmt: skip


def small_sigmas(facts: EntryFacts) -> Iterator[Hazard]:
    """D306: spreads over seeds that are smaller than the sampling error of the test set."""
    for claim, marks in facts.claims:
        key = "sigma" if claim.prior is None else "prior"
        spread, least = getattr(claim, key), _least_sigma(facts, claim)
        is_well_known = key == "sigma" and claim.reference_runs >= MANY_RUNS
        if spread is not None and least is not None and spread < least and not is_well_known:
            enough = Context(prec=2, rounding=ROUND_CEILING).create_decimal_from_float(least)
            is_measured = key == "sigma" and claim.reference_runs > 1
            of_runs = f" of {claim.reference_runs} runs, likely by chance," if is_measured else ""
            change = f"add prior: {enough}" if is_measured else f"write {key}: {enough}"
            yield Hazard(
                code="D306", severity="note" if is_measured else "warning", mark=marks[key],
                message=f"{key} {spread:g}{of_runs} is below {enough}, the sampling error sqrt(err / (2 n)) of"
                f" {_examples(facts, claim):,} examples; runs vary more than that",
                fix=f"{change}, or train {MANY_RUNS} or more reference runs",
            )  # fmt: skip


def impossible_shares(facts: EntryFacts) -> Iterator[Hazard]:
    """D307: scores of weights that are no share of their examples, so that nothing can be compared with them."""
    for claim, marks in facts.claims:
        n = _examples(facts, claim)
        if claim.of == "weights" and n and not fits_rows(claim, n):
            yield Hazard(
                code="D307", severity="warning", mark=marks["value"],
                message=f"{claim.value} is no share of {n:,} examples: the claim cannot be compared",
                fix="check the value, its decimals, the split and n",
            )  # fmt: skip


def _least_sigma(facts: EntryFacts, claim: Claim) -> float | None:
    """Return the least standard deviation that runs can have, if it is known."""
    n = _examples(facts, claim)
    if claim.of != "retrain" or claim.metric not in SHARES or claim.value is None or n is None:
        return None
    return sampling_sigma(claim.value, n)


def _examples(facts: EntryFacts, claim: Claim) -> int | None:
    """Return the number of examples that a claim is about, if it is known."""
    return claim.size or (facts.data.rows.get(claim.split) if facts.data else None)


def _baseline(facts: EntryFacts, claim: Claim) -> float | None:
    """Return the score of always predicting the most frequent class, if it is known."""
    if claim.metric in CORRELATIONS:
        return 0.0
    if facts.data is None or claim.metric != "accuracy" or claim.split not in facts.data.largest:
        return None
    return facts.data.largest[claim.split] / facts.data.rows[claim.split]


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


CLAIM_CHECKS = (
    unscored_splits, other_sizes, missing_sigmas, coarse_roundings, trivial_scores, small_sigmas, impossible_shares,
)  # fmt: skip
