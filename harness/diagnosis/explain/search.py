"""One entry under one variant after the other, and what restores the agreement of its claims.

The cheapest come first: what only scores the same logits otherwise, then what computes them anew, then what downloads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import inf, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness.diagnosis.explain.explanation import Attempt, ClaimResult, Explanation
from harness.diagnosis.explain.factors import Untried, factors
from harness.diagnosis.explain.variant import AS_IT_IS, Variant
from harness.diagnosis.explain.variant_runs import NOISE, CanaryRun, VariantRunner
from harness.judging.judge_runs import read_predictions
from harness.judging.paired import Flips, find_flips
from harness.judging.types import ROUNDING, Judgement, Measurement
from harness.judging.verdict import fill_published_value, judge
from harness.metrics import Array, Metric, measure, reads
from harness.records.record import FILE, read_record, verify_files
from harness.runs.experiment import Experiment, RunContext, Step, prepare
from zoo.errors import UsageError, ZooError, first_line, translate_errors
from zoo.recipes.catalogue import Entry
from zoo.recipes.schema import Claim
from zoo.tasks.base import content_hash
from zoo.text_tables import finite

FAR = 10
"""How many times the tolerance of the run as it is a value is off when nobody need know what one prediction changes."""

COSTLY_PAIRS = 6
"""How many pairs of factors that both compute anew are tried, the nearest first; others cost little."""
Recorded = Mapping[str, Mapping[str, Array]]
"""Split -> the arrays of a predictions file of the same weights on the same rows."""
Scored = tuple[Variant, Attempt]


def explain(entry: Entry, setup: RunContext, *, evidence: Path | None = None) -> Explanation:
    """Try the known factors on the claims of weights that are not reproduced; writes no record.

    Where the folder `evidence` holds predictions of the same weights on the same rows, they must come out again, too.
    Raises what an evaluation of the entry raises, and UsageError for a segmentation.
    """
    with translate_errors(entry.name), TemporaryDirectory() as folder:
        study = prepare(entry, setup)
        return _explain(study, recorded_predictions(study, evidence) if evidence else {}, Path(folder))


def recorded_predictions(study: Experiment, evidence: Path) -> dict[str, dict[str, Array]]:
    """What committed evaluations of these weights on these rows predict, by split; nothing of other ones."""
    found: dict[str, dict[str, Array]] = {}
    for path in sorted((evidence / study.entry.name).glob(f"weights-*/{FILE}")):
        record = read_record(path)
        if study.recipe.weights and record.weights == study.sources.fetch(study.recipe.weights).sha256:
            verify_files(path, record)
            rows = record.identity.sources["data"]
            same = [r for r in record.results if r.split in study.task.scored and _is_same(study, r.split, rows)]
            found |= {result.split: read_predictions(path, result) for result in same}
    return {split: arrays for split, arrays in found.items() if "predictions" in arrays}


def _is_same(study: Experiment, split: str, rows: Mapping[str, Any]) -> bool:
    return bool(rows.get(split, {}).get("sha256") == content_hash(study.task.load(split)))


def _explain(study: Experiment, recorded: Recorded, folder: Path) -> Explanation:
    name = study.entry.name
    if study.task.kind == "segmentation":
        raise UsageError(f"{name}: the factors are told apart by logits of rows; a segmentation's are of pixels")
    claims = tuple(fill_published_value(c, study.published_scores()) for c in study.recipe.claims if c.of == "weights")
    trial = _Trial(bench=VariantRunner(study), claims=claims, recorded=recorded)
    with study.context.show(f"{name}: as it is") as step:
        judgements = trial.on(step).judged(AS_IT_IS)
    compared = tuple(_compared(judgement) for judgement in judgements)
    failing = tuple(j.claim for j in judgements if j.verdict == "not-reproduced")
    if not failing:
        return Explanation(entry=name, claims=compared)
    comparable = tuple(j.claim for j in judgements if j.verdict != "not-compared")
    tolerances = {(j.claim.split, j.claim.metric): _tolerance(j) for j in judgements}
    trial = replace(trial, comparable=comparable, failing=failing, tolerances=tolerances)
    tried = list(trial.singles(folder))
    if not any(attempt.agrees for _, attempt in tried):
        tried += trial.pairs([one for one in tried if one[0].changes])
    rows = len(trial.bench.canary_rows(trial.split))
    return Explanation(entry=name, claims=compared, canary=rows, tried=tuple(attempt for _, attempt in tried))


def _tolerance(judgement: Judgement) -> float:
    return inf if judgement.equivalent is None else (judgement.equivalent[1] - judgement.equivalent[0]) / 2


def _compared(judgement: Judgement) -> ClaimResult:
    claim = judgement.claim
    return ClaimResult(
        split=claim.split, metric=claim.metric, claimed=claim.value, as_run=judgement.measured,
        verdict=judgement.verdict, why=judgement.why,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """Claims that are judged under one variant after the other."""

    bench: VariantRunner
    claims: tuple[Claim, ...]
    recorded: Recorded
    comparable: tuple[Claim, ...] = ()
    failing: tuple[Claim, ...] = ()
    tolerances: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Split and metric -> how far a value may be off its claim in the run as it is."""

    @property
    def split(self) -> str:
        """The split that the canary is of."""
        return self.failing[0].split

    def on(self, step: Step) -> "_Trial":
        """The same, with its progress shown there."""
        return replace(self, bench=replace(self.bench, progress=step))

    def judged(self, variant: Variant, rows: Mapping[str, tuple[int, ...] | None] | None = None) -> list[Judgement]:
        """The claims under a variant, of which only these rows of a split are computed, the others as they are."""
        known = self.comparable or self.claims
        scored = dict.fromkeys(claim.split for claim in known if claim.split in self.bench.task.scored)
        found = {}
        for split in scored:
            only = rows[split] if rows is not None else ()
            found[split] = self.bench.arrays(split, variant, only)
        return [judge(*self._against(claim, variant, found)) for claim in known]

    def _against(
        self, claim: Claim, variant: Variant, arrays: Mapping[str, dict[str, Array]]
    ) -> tuple[Claim, Measurement | None]:
        """A claim, and what is measured of it; another precision is taken to be the claim's."""
        metrics = {**self.bench.study.metrics, **dict([variant.metric] if variant.metric else [])}
        if claim.split not in arrays or claim.metric not in metrics:
            return claim, None
        value, step = self._measured(claim, metrics[claim.metric], arrays[claim.split])
        precision = variant.precision or self.bench.precision
        measured = Measurement(
            split=claim.split, metric=claim.metric, n=len(arrays[claim.split]["labels"]), values=(value,),
            one_prediction=step, precision=precision, selection=claim.selection,
            flips=self._differing(claim.split, arrays[claim.split]),
        )  # fmt: skip
        return (replace(claim, precision=precision) if variant.precision else claim), measured

    def _differing(self, split: str, arrays: Mapping[str, Array]) -> Flips | None:
        """The predictions against recorded ones; None where none are, or numbers are predicted."""
        try:
            return find_flips(self.recorded[split], arrays) if split in self.recorded else None
        except UsageError:
            return None

    def _measured(self, claim: Claim, metric: Metric, arrays: Mapping[str, Array]) -> tuple[float, float]:
        """A metric's value and what one prediction can change, which takes longer: 0 where it is far off."""
        value = float(metric(*(arrays[name] for name in reads(metric))))
        near = FAR * self.tolerances.get((claim.split, claim.metric), inf)
        return (value, 0.0) if abs(value - (claim.value or 0.0)) > near else measure(metric, arrays)

    def singles(self, folder: Path) -> Iterator[Scored]:
        """Every variant of every factor; of the orders of classes those that agree, or the nearest.

        Other revisions, which are downloaded, are not needed where something else gives the claims' last digits.
        """
        orders: list[Scored] = []
        exact: list[Attempt] = []

        def enough() -> bool:
            return bool(exact)

        for one in factors(self.bench, self.failing, folder, enough):
            scored = self._scored(one)
            exact += [scored[1]] if scored[1].exact else []
            if scored[0].changed == {"order"}:
                orders.append(scored)
                continue
            yield from _nearest(orders)
            orders = []
            yield scored
        yield from _nearest(orders)

    def pairs(self, tried: list[Scored]) -> Iterator[Scored]:
        """The nearest variant of each factor together with that of each other one, the nearer first.

        Of those that both compute anew only a few are tried.
        """
        best: dict[str, Scored] = {}
        for one in sorted((one for one in tried if isfinite(_far(one[1]))), key=lambda one: _far(one[1])):
            best.setdefault(one[0].factor, one)
        variants, costly = [variant for variant, _ in best.values()], 0
        for first, second in sorted(combinations(range(len(variants)), 2), key=sum):
            both = variants[first], variants[second]
            costly += (dear := not any(variant.only_rescores for variant in both))
            if not dear or costly <= COSTLY_PAIRS:
                yield self._scored(both[0].also(both[1]))

    def _scored(self, one: Variant | Untried) -> Scored:
        if isinstance(one, Untried):
            return AS_IT_IS, Attempt(factor=one.factor, reason=one.reason)
        named = Attempt(
            factor=one.factor,
            change="; ".join(map(str, one.changes)),
            said=" and ".join(change.said for change in one.changes),
        )
        bench = self.bench
        try:
            with (
                translate_errors(named.change),
                bench.study.context.show(f"{bench.study.entry.name}: {one.factor}, {named.change}") as step,
            ):
                return one, self.on(step)._attempt(one, named)
        except ZooError as error:
            return one, replace(named, reason=first_line(error))

    def _attempt(self, variant: Variant, named: Attempt) -> Attempt:
        canary = self.bench.canary(self.split, variant)
        found = replace(
            named,
            changed=canary.changed,
            shift=None if variant.only_rescores else finite(canary.shift),
            flips=self._flips(canary),
        )
        rows = {c.split: self.bench.rows_to_compute(c.split, variant, canary) for c in self.comparable}
        if not variant.only_rescores and all(some == () for some in rows.values()):
            return replace(found, computed=0, reason=_ruled_out(variant, canary))
        judgements = self.judged(variant, rows)
        agrees = all(j.verdict == "reproduced" for j in judgements)
        return replace(
            found,
            computed=0 if variant.only_rescores else sum(self._computed(*one) for one in rows.items()),
            values={f"{j.claim.metric} on {j.claim.split}": j.measured for j in judgements},
            agrees=agrees,
            exact=agrees and all(map(_exact, self._counted(judgements))),
            distance=finite(self._distance(judgements)),
        )

    def _computed(self, split: str, rows: tuple[int, ...] | None) -> int:
        return len(self.bench.split(split)) if rows is None else len(rows)

    def _flips(self, canary: CanaryRun) -> int | None:
        if self.split not in self.recorded:
            return None
        rows = list(self.bench.canary_rows(self.split))[: len(canary.predictions)]
        return int(np.sum(self.recorded[self.split]["predictions"][rows] != canary.predictions))

    def _distance(self, judgements: list[Judgement]) -> float:
        """How far the farthest value is from its claim, of those that are not reproduced as it is."""
        far = [
            inf if j.measured is None else abs(j.measured - (j.claim.value or 0.0)) for j in self._counted(judgements)
        ]
        return max(far, default=inf)

    def _counted(self, judgements: list[Judgement]) -> list[Judgement]:
        names = {(claim.split, claim.metric) for claim in self.failing}
        return [j for j in judgements if (j.claim.split, j.claim.metric) in names]


def _exact(judgement: Judgement) -> bool:
    """Whether the value is the claimed one to its last digit."""
    claim, measured = judgement.claim, judgement.measured
    if measured is None or claim.value is None or claim.decimals is None:
        return False
    return abs(measured - claim.value) <= 10.0**-claim.decimals / 2 + ROUNDING


def _nearest(orders: list[Scored]) -> list[Scored]:
    """Those that agree, or else the nearest, told to be that of so many."""
    agreeing = [one for one in orders if one[1].agrees]
    if agreeing or not orders:
        return agreeing
    variant, attempt = min(orders, key=lambda one: _far(one[1]))
    return [(variant, replace(attempt, change=f"{attempt.change} (the nearest of {len(orders)} other orders)"))]


def _far(attempt: Attempt) -> float:
    return attempt.distance if attempt.distance is not None and isfinite(attempt.distance) else inf


def _ruled_out(variant: Variant, canary: CanaryRun) -> str:
    """Why a variant cannot change a prediction of the split."""
    if variant.only_tokenises:
        return "no row has other tokens"
    if variant.task is not None:
        return "the rows are the same"
    if canary.shift <= NOISE:
        return f"no logit of the canary moves by more than {NOISE:g}"
    return "no row's classes are so close that it could change a prediction"
