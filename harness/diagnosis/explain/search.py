"""Evaluate an entry under many variants, and find the variants that reproduce its claims.

The cheapest variants come first: variants that only score the same logits differently, then variants that compute
logits again, then variants that download files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, starmap
from math import inf, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from harness.diagnosis.explain.explanation import Attempt, ClaimResult, Explanation
from harness.diagnosis.explain.factors import Untried, factors, fits_rows, splits
from harness.diagnosis.explain.recorded import RecordedArrays, recorded_predictions
from harness.diagnosis.explain.variant import UNCHANGED, Variant
from harness.diagnosis.explain.variant_judge import VariantJudge
from harness.diagnosis.explain.variant_runs import NOISE, SampleResult, VariantRunner
from harness.judging.types import ROUNDING, Judgement
from harness.judging.verdict import fill_published_value
from harness.runs.experiment import Experiment, RunContext, prepare
from zoo.errors import UsageError, ZooError, first_line, translate_errors
from zoo.recipes.catalogue import Entry
from zoo.recipes.claim import Claim
from zoo.recipes.public_data import full_rows
from zoo.recipes.reader import Call
from zoo.text_tables import finite

COSTLY_PAIRS = 6
"""The number of pairs to try in which both variants compute logits again, the nearest first. Other pairs are cheap."""
VariantAttempt = tuple[Variant, Attempt]


def explain(entry: Entry, context: RunContext, *, evidence: Path | None = None) -> Explanation:
    """Evaluate the published weights, and try the known causes for claims that are not reproduced. Writes no record.

    Args:
        entry: The entry.
        context: Where and how to evaluate it.
        evidence: A folder of committed records. Predictions of the same weights on the same rows must come out again.

    Raises:
        UsageError: The entry is a segmentation, or has no published weights.
        ZooError: Any other error of an evaluation.
    """
    with translate_errors(entry.name):
        experiment = prepare(entry, context)
        return explain_experiment(experiment, recorded_predictions(experiment, evidence) if evidence else {})


def explain_experiment(experiment: Experiment, recorded: RecordedArrays) -> Explanation:
    """Explain an experiment as `explain` does an entry, with the recorded predictions of each split."""
    name = experiment.entry.name
    if experiment.task.kind == "segmentation":
        raise UsageError(f"{name}: zoo explain compares the logits of examples; a segmentation has logits of pixels")
    published = experiment.published_scores()
    claims = [fill_published_value(c, published) for c in experiment.recipe.claims if c.of == "weights"]
    judge = VariantJudge(runner=VariantRunner(experiment), claims=tuple(claims), recorded=recorded)
    with experiment.context.show(f"{name}: as the recipe says", "examples") as step:
        judgements = judge.with_progress(step).judge(UNCHANGED)
    results = tuple(_claim_result(judgement, experiment) for judgement in judgements)
    pairs = list(zip(judgements, results, strict=True))
    failing = tuple(j.claim for j, found in pairs if j.verdict == "not-reproduced" or found.fits_no_rows)
    if not failing:
        return Explanation(entry=name, claims=results)
    comparable = tuple(j.claim for j, found in pairs if j.verdict != "not-compared" or found.fits_no_rows)
    tolerances = {(j.claim.split, j.claim.metric): _tolerance(j) for j in judgements}
    distance = max(inf if found.fits_no_rows else _difference(j) for j, found in pairs if j.claim in failing)
    search = _Search(judge=replace(judge, claims=comparable, tolerances=tolerances), failing=failing, distance=distance)
    with TemporaryDirectory() as folder:
        attempts = list(search.singles(Path(folder)))
        if not any(attempt.agrees for _, attempt in attempts):
            attempts += search.pairs([(variant, attempt) for variant, attempt in attempts if variant.changes])
    rows = len(search.runner.sample_rows(search.split))
    return Explanation(entry=name, claims=results, sample_rows=rows, attempts=tuple(attempt for _, attempt in attempts))


def _tolerance(judgement: Judgement) -> float:
    return inf if judgement.equivalent is None else (judgement.equivalent[1] - judgement.equivalent[0]) / 2


def _claim_result(judgement: Judgement, experiment: Experiment) -> ClaimResult:
    claim, call = judgement.claim, experiment.recipe.task
    rows = None if judgement.measured is None else len(experiment.task.load(claim.split))
    known = None if rows is None else full_rows(call, claim.split, rows)
    claimed = known if claim.n is None else claim.n
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


@dataclass(frozen=True, kw_only=True)
class _Search:
    """Tries variants, alone and in pairs."""

    judge: VariantJudge
    failing: tuple[Claim, ...]
    """The claims that are not reproduced without changes."""
    distance: float
    """The largest difference between value and claim among them, without changes; infinite for a claim that fits no
    number of rows of its split, because a score on other rows is no nearer or farther."""

    @property
    def runner(self) -> VariantRunner:
        return self.judge.runner

    @property
    def split(self) -> str:
        """The split that the sample is taken from."""
        return self.failing[0].split

    def singles(self, folder: Path) -> Iterator[VariantAttempt]:
        """Try every variant of every factor. Report only the class orders that agree, or else the nearest one.

        Other versions of files are not fetched if a cheaper variant reproduces the claims to their last digit.
        """
        orders: list[VariantAttempt] = []
        exact: list[Attempt] = []

        def is_explained() -> bool:
            return bool(exact)

        only_splits = not any(fits_rows(claim, self._rows_of(claim)) for claim in self.failing)
        candidates = splits(self.runner, self.failing) if only_splits else None
        for candidate in candidates or factors(self.runner, self.failing, folder, is_explained):
            variant, attempt = self._try(candidate)
            exact += [attempt] * attempt.exact
            if variant.changed == {"order"}:
                orders.append((variant, attempt))
                continue
            yield from _best_orders(orders)
            orders = []
            yield variant, attempt
        yield from _best_orders(orders)

    def pairs(self, singles: list[VariantAttempt]) -> Iterator[VariantAttempt]:
        """Try pairs of the nearest variants of two factors, the nearest pairs first.

        Only a few pairs are tried in which both variants compute logits again.
        """
        best: dict[str, Variant] = {}
        measured = [(variant, attempt) for variant, attempt in singles if isfinite(_distance(attempt))]
        for variant, _ in sorted(measured, key=lambda single: _distance(single[1])):
            best.setdefault(variant.factor, variant)
        variants, costly = list(best.values()), 0
        for first, second in sorted(combinations(range(len(variants)), 2), key=sum):
            both = variants[first], variants[second]
            is_costly = not any(variant.only_rescores for variant in both)
            costly += is_costly
            if not is_costly or costly <= COSTLY_PAIRS:
                yield self._try(both[0].combined_with(both[1]))

    def _try(self, candidate: Variant | Untried) -> VariantAttempt:
        if isinstance(candidate, Untried):
            return UNCHANGED, Attempt(factor=candidate.factor, reason=candidate.reason)
        attempt = Attempt(
            factor=candidate.factor,
            change="; ".join(map(str, candidate.changes)),
            description=" and ".join(change.description for change in candidate.changes),
        )
        title = f"{self.runner.experiment.entry.name}: {candidate.factor}, {attempt.change}"
        try:
            with translate_errors(attempt.change), self.runner.context.show(title, "examples") as step:
                search = replace(self, judge=self.judge.with_progress(step))
                return candidate, search._run(candidate, attempt)
        except ZooError as error:
            return candidate, replace(attempt, reason=first_line(error))

    def _run(self, variant: Variant, attempt: Attempt) -> Attempt:
        """Run a variant on the sample, and on the rows of the splits that it can change; score and judge it."""
        sample = self.runner.run_sample(self.split, variant)
        attempt = replace(
            attempt,
            changed=sample.changed,
            shift=None if variant.only_rescores else finite(sample.shift),
            flips=self._sample_flips(sample),
        )
        rows = {c.split: self.runner.rows_to_compute(c.split, variant, sample) for c in self.judge.claims}
        if not variant.only_rescores and all(of_split == () for of_split in rows.values()):
            return replace(attempt, rows_computed=0, reason=_no_effect(variant, sample))
        judgements = self.judge.judge(variant, rows)
        failed_before = self._failed_before(judgements)
        distance = max(map(_difference, failed_before), default=inf)
        agrees = all(j.verdict == "reproduced" for j in judgements) and distance < self.distance
        return replace(
            attempt,
            rows_computed=0 if variant.only_rescores else sum(starmap(self._count, rows.items())),
            values={f"{j.claim.metric} on {j.claim.split}": j.measured for j in judgements},
            agrees=agrees,
            exact=agrees and all(map(_is_exact, failed_before)),
            distance=finite(distance),
        )

    def _rows_of(self, claim: Claim) -> int:
        return len(self.runner.split(claim.split))

    def _count(self, split: str, rows: tuple[int, ...] | None) -> int:
        return len(self.runner.split(split)) if rows is None else len(rows)

    def _sample_flips(self, sample: SampleResult) -> int | None:
        if self.split not in self.judge.recorded:
            return None
        rows = list(self.runner.sample_rows(self.split))[: len(sample.predictions)]
        return int(np.sum(self.judge.recorded[self.split]["predictions"][rows] != sample.predictions))

    def _failed_before(self, judgements: list[Judgement]) -> list[Judgement]:
        """Return the judgements of the claims that failed without changes."""
        failing = {(claim.split, claim.metric) for claim in self.failing}
        return [j for j in judgements if (j.claim.split, j.claim.metric) in failing]


def _difference(judgement: Judgement) -> float:
    """Return the difference between value and claim; infinity if nothing was measured."""
    return inf if judgement.measured is None else abs(judgement.measured - (judgement.claim.value or 0.0))


def _is_exact(judgement: Judgement) -> bool:
    """Return whether the value equals the claim to its last digit."""
    claim, measured = judgement.claim, judgement.measured
    if measured is None or claim.value is None or claim.decimals is None:
        return False
    return abs(measured - claim.value) <= 10.0**-claim.decimals / 2 + ROUNDING


def _best_orders(orders: list[VariantAttempt]) -> list[VariantAttempt]:
    """Return the class orders that agree; if none does, the nearest one, labeled as such."""
    agreeing = [(variant, attempt) for variant, attempt in orders if attempt.agrees]
    if agreeing or not orders:
        return agreeing
    variant, attempt = min(orders, key=lambda order: _distance(order[1]))
    return [(variant, replace(attempt, change=f"{attempt.change} (the nearest of {len(orders)} other orders)"))]


def _distance(attempt: Attempt) -> float:
    return attempt.distance if attempt.distance is not None and isfinite(attempt.distance) else inf


def _no_effect(variant: Variant, sample: SampleResult) -> str:
    """Return why a variant cannot change a prediction of the split."""
    if variant.only_tokenizes:
        return "no effect: the tokens of all rows are the same"
    if variant.task is not None:
        return "no effect: the rows are the same"
    if sample.shift <= NOISE:
        return f"no effect: no logit of the sample moves by more than {NOISE:g}"
    return "no effect: no row's two largest logits are close enough to swap"
