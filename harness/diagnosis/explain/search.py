"""Evaluate an entry under many variants, and find the variants that reproduce its claims.

The cheapest variants come first: variants that only score the same logits differently, then variants that compute
logits again, then variants that download files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, starmap
from math import inf, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from harness.diagnosis.explain.attempts import VariantAttempt, distance_of, no_effect, plan, without_orders
from harness.diagnosis.explain.candidates import Untried, until_error
from harness.diagnosis.explain.chance import UNLIKELY, chance_hits
from harness.diagnosis.explain.claim_results import claim_result, difference, is_exact, tolerance
from harness.diagnosis.explain.explanation import Attempt, ClaimResult, Explanation
from harness.diagnosis.explain.factors import factors, file_factors
from harness.diagnosis.explain.recorded import RecordedArrays, recorded_predictions
from harness.diagnosis.explain.screening import Screening
from harness.diagnosis.explain.split_factors import splits
from harness.diagnosis.explain.variant import UNCHANGED, Variant
from harness.diagnosis.explain.variant_judge import VariantJudge
from harness.diagnosis.explain.variant_runs import SampleResult, VariantRunner
from harness.judging.types import Judgement
from harness.judging.verdict import fill_published_value
from harness.runs.experiment import Experiment, RunContext, prepare
from harness.runs.shared_images import SharedImages
from zoo.claims.recipe_claims import fits_rows
from zoo.error_translation import translate_errors
from zoo.errors import UsageError, ZooError, first_line
from zoo.recipes.catalogue import Entry
from zoo.recipes.claim import Claim
from zoo.text_tables import finite

COSTLY_PAIRS = 6
"""The number of pairs to try in which both variants compute logits again, the nearest first. Other pairs are cheap."""


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
    with translate_errors(entry.title):
        experiment = prepare(entry, context)
        recorded = recorded_predictions(experiment, evidence) if evidence else {}
        images = SharedImages([entry, entry], context.report)  # twice: each variant reads the same images
        try:
            with images.used_by(entry, experiment.task):
                return explain_experiment(experiment, recorded)
        finally:
            images.close()


def explain_experiment(experiment: Experiment, recorded: RecordedArrays) -> Explanation:
    """Explain an experiment as `explain` does an entry, with the recorded predictions of each split."""
    name, title = experiment.entry.name, experiment.entry.title
    if experiment.task.readout is not None:
        raise UsageError(
            f"{title}: zoo explain compares logits of examples, which {experiment.task.name} does not have"
        )
    published = experiment.published_scores()
    claims = [fill_published_value(c, published) for c in experiment.recipe.claims if c.of == "weights"]
    judge = VariantJudge(runner=VariantRunner(experiment), claims=tuple(claims), recorded=recorded)
    with experiment.context.show(f"{title}: as the recipe says", "examples") as step:
        judgements = judge.with_progress(step).judge(UNCHANGED)
    results = tuple(claim_result(judgement, experiment) for judgement in judgements)
    pairs = list(zip(judgements, results, strict=True))
    failing = tuple(j.claim for j, found in pairs if j.verdict == "not-reproduced" or found.fits_no_rows)
    if not failing:
        return Explanation(entry=name, title=title, claims=results)
    comparable = tuple(j.claim for j, found in pairs if j.verdict != "not-compared" or found.fits_no_rows)
    tolerances = {(j.claim.split, j.claim.metric): tolerance(j) for j in judgements}
    distance = max(inf if found.fits_no_rows else difference(j) for j, found in pairs if j.claim in failing)
    search = _Search(
        judge=replace(judge, claims=comparable, tolerances=tolerances), failing=failing, distance=distance,
        results=results, screening=Screening(runner=judge.runner, claims=failing, tolerances=tolerances),
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        tried = list(search.singles(Path(folder)))
        if not any(attempt.agrees for _, attempt in tried):
            tried += search.pairs([(variant, attempt) for variant, attempt in tried if variant.changes])
    scored = [attempt for _, attempt in tried if attempt.values]
    shown = [replace(attempt, chance_hits=search.chance_hits(attempt, scored)) for attempt in without_orders(tried)]
    rows = len(search.runner.sample_rows(search.split))
    return Explanation(
        entry=name, title=title, claims=results, sample_rows=rows, attempts=tuple(shown), scored=len(scored)
    )


@dataclass(frozen=True, kw_only=True)
class _Search:
    """Tries variants, alone and in pairs."""

    judge: VariantJudge
    failing: tuple[Claim, ...]
    """The claims that are not reproduced without changes."""
    results: tuple[ClaimResult, ...]
    """The results of all claims without changes."""
    screening: Screening
    """Estimates the scores of the failing claims on large splits."""
    distance: float
    """The largest difference between value and claim among the failing claims, without changes; infinite for a claim
    that fits no number of rows of its split, because a score on other rows is no nearer or farther."""

    @property
    def runner(self) -> VariantRunner:
        return self.judge.runner

    @property
    def split(self) -> str:
        """The split that the sample is taken from."""
        return self.failing[0].split

    def singles(self, folder: Path) -> Iterator[VariantAttempt]:
        """Try every variant of every factor.

        Other files are not fetched if a cheaper variant reproduces the claims to their last digit, unlikely by chance.
        """
        only_splits = not any(fits_rows(claim, len(self.runner.split(claim.split))) for claim in self.failing)
        known = (
            until_error("split", splits(self.runner, self.failing))
            if only_splits
            else factors(self.runner, self.failing)
        )
        candidates = list(known)
        self._report(candidates)
        tried = list(map(self._try, candidates))
        yield from tried
        scored = [attempt for _, attempt in tried if attempt.values]
        enough = [attempt for attempt in scored if self._is_unlikely(attempt, scored)]
        for candidate in () if only_splits else file_factors(self.runner, folder, enough):
            variant, attempt = self._try(candidate)
            scored += [attempt] * bool(attempt.values)
            enough += [attempt] * self._is_unlikely(attempt, scored)
            yield variant, attempt

    def chance_hits(self, attempt: Attempt, scored: Sequence[Attempt]) -> float | None:
        """Return how many of the scored changes would come as near by chance; None if the attempt does not agree."""
        failing = {(claim.split, claim.metric) for claim in self.failing}
        results = [result for result in self.results if (result.split, result.metric) in failing]
        return chance_hits(results, attempt, scored) if attempt.agrees else None

    def _is_unlikely(self, attempt: Attempt, scored: Sequence[Attempt]) -> bool:
        """Return whether an attempt reproduces the claims to their last digit, which is unlikely by chance."""
        hits = self.chance_hits(attempt, scored) if attempt.exact else None
        return hits is not None and hits < UNLIKELY

    def pairs(self, singles: list[VariantAttempt]) -> Iterator[VariantAttempt]:
        """Try pairs of the nearest variants of two factors, the nearest pairs first.

        Both must change other settings. Only a few pairs are tried in which both compute logits again.
        """
        best: dict[str, VariantAttempt] = {}
        measured = [(variant, attempt) for variant, attempt in singles if isfinite(distance_of(attempt))]
        for variant, attempt in sorted(measured, key=lambda single: distance_of(single[1])):
            best.setdefault(variant.factor, (variant, attempt))
        nearest, costly = list(best.values()), 0
        for ranks in sorted(combinations(range(len(nearest)), 2), key=sum):
            parts = [nearest[rank] for rank in ranks]
            (first, _), (second, _) = parts
            if first.conflicts_with(second):
                continue
            is_costly = not (first.only_rescores or second.only_rescores)
            costly += is_costly
            if not is_costly or costly <= COSTLY_PAIRS:
                yield self._try(first.combined_with(second), parts)

    def _try(self, candidate: Variant | Untried, parts: Sequence[VariantAttempt] = ()) -> VariantAttempt:
        """Run a variant, or a pair of the variants `parts`; an error becomes the reason why it was not scored."""
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
                return candidate, search._run(candidate, attempt, parts)
        except ZooError as error:
            return candidate, replace(attempt, reason=first_line(error))

    def _run(self, variant: Variant, attempt: Attempt, parts: Sequence[VariantAttempt]) -> Attempt:
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
            return replace(attempt, rows_computed=0, reason=no_effect(variant, sample))
        if all(of_split is None for of_split in rows.values()):
            estimates = self.screening.estimates(variant, self.runner)
            if estimates is not None:
                return self._estimated(attempt, estimates)
        judgements = self.judge.judge(variant, rows, self._unmoved(parts))
        failed_before = self._failed_before(judgements)
        distance = max(map(difference, failed_before), default=inf)
        is_nearer = distance < min([self.distance, *(distance_of(part) for _, part in parts)])
        has_digits = all(map(is_exact, failed_before))
        agrees = all(j.verdict == "reproduced" for j in judgements) and is_nearer
        if variant.only_rescores:  # no output is computed again, so none may differ by numeric noise
            agrees &= has_digits
        return replace(
            attempt,
            rows_computed=0 if variant.only_rescores else sum(starmap(self._count, rows.items())),
            values={f"{j.claim.metric} on {j.claim.split}": j.measured for j in judgements},
            agrees=agrees,
            exact=agrees and has_digits,
            reason=next((j.why for j in judgements if has_digits and j.verdict != "reproduced"), ""),
            distance=finite(distance),
        )

    def _unmoved(self, parts: Sequence[VariantAttempt]) -> dict[str, float | None]:
        """Return the scores by the names of the claims without the precision of a single variant, or of a pair."""
        values = {result.name: result.as_run for result in self.results}
        for variant, attempt in parts:
            values |= {} if variant.precision else attempt.values
        return values

    def _estimated(self, attempt: Attempt, values: Mapping[str, float]) -> Attempt:
        """Return the attempt of a variant that is too far from the claims to be evaluated on all rows."""
        distance = max(abs(values[f"{c.metric} on {c.split}"] - (c.value or 0.0)) for c in self.failing)
        rows = len(self.screening.rows or ())
        return replace(attempt, values=values, distance=distance, rows_computed=rows, is_estimate=True)

    def _report(self, candidates: Sequence[Variant | Untried]) -> None:
        """Report how many evaluations follow."""
        sample, rows = len(self.runner.sample_rows(self.split)), len(self.runner.split(self.split))
        estimated = "" if self.screening.rows is None else f", then on {len(self.screening.rows):,}"
        where = f"first on {sample:,}{estimated} of {rows:,} rows"
        self.runner.context.report(f"{self.runner.experiment.entry.name}: {plan(candidates)}, {where}")

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
