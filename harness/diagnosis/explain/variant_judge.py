"""Judge the claims of an entry under a variant."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

from harness.diagnosis.explain.recorded import RecordedArrays
from harness.diagnosis.explain.variant import Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from harness.judging.paired import Flips, find_flips
from harness.judging.types import Judgement, Measurement
from harness.judging.verdict import judge
from harness.metrics import Array, Metric, measure, reads
from zoo.errors import UsageError
from zoo.progress import Step
from zoo.recipes.claim import Claim
from zoo.recipes.public_data import full_rows

FAR = 10
"""A value that is this many tolerances from its claim is too far off for a single prediction to matter."""
Scores = Mapping[str, float | None]
"""Name of a claim, such as `accuracy on test` -> its score."""
RowsBySplit = Mapping[str, tuple[int, ...] | None]
"""Split -> the rows to compute again, as in `VariantRunner.logits`."""


@dataclass(frozen=True, kw_only=True)
class VariantJudge:
    """Judges claims under one variant after the other."""

    runner: VariantRunner
    claims: tuple[Claim, ...]
    recorded: RecordedArrays
    tolerances: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Split and metric -> the largest difference from the claim that counts as reproduced, without changes."""

    def with_progress(self, step: Step) -> "VariantJudge":
        """Return this judge with the progress of its evaluations reported to `step`."""
        return replace(self, runner=replace(self.runner, progress=step))

    def judge(
        self, variant: Variant, rows: RowsBySplit | None = None, unmoved: Scores | None = None
    ) -> list[Judgement]:
        """Judge the claims under a variant.

        Args:
            variant: The variant.
            rows: Split -> the rows to compute again, as in `VariantRunner.logits`. None computes no row again.
            unmoved: Name of a claim -> its score without the precision that the variant sets. Only a claim whose
                printed score that precision moves is judged with its tolerance.
        """
        scored = dict.fromkeys(claim.split for claim in self.claims if claim.split in self.runner.task.scored)
        arrays = {split: self.runner.arrays(split, variant, () if rows is None else rows[split]) for split in scored}
        return [judge(*self._measured(claim, variant, arrays, unmoved or {})) for claim in self.claims]

    def _measured(
        self, claim: Claim, variant: Variant, arrays: Mapping[str, dict[str, Array]], unmoved: Scores
    ) -> tuple[Claim, Measurement | None]:
        """Return a claim and its measurement. A precision that moves the score is also that of the claim."""
        metrics = {**self.runner.experiment.metrics, **dict([variant.metric] if variant.metric else [])}
        if claim.split not in arrays or claim.metric not in metrics:
            return claim, None
        value, one_prediction = self._value(claim, metrics[claim.metric], arrays[claim.split])
        moved_in = variant.precision if _is_moved(claim, value, unmoved) else None
        precision = moved_in or self.runner.precision
        n, scoring = len(arrays[claim.split]["labels"]), self.runner.task.scoring(claim.split)
        whole = full_rows(self.runner.experiment.recipe.task, variant.split_for(claim.split), n)
        measured = Measurement(
            split=claim.split, metric=claim.metric, n=n, values=(value,),
            full_n=scoring.get("of", whole), scoring=scoring,
            one_prediction=one_prediction, precision=precision, selection=claim.selection,
            flips=None if variant.split else self._flips(claim.split, arrays[claim.split]),
        )  # fmt: skip
        return (replace(claim, precision=precision) if moved_in else claim), measured

    def _flips(self, split: str, arrays: Mapping[str, Array]) -> Flips | None:
        """Compare predictions with the recorded ones; None without recorded ones, and for a regression."""
        try:
            return find_flips(self.recorded[split], arrays) if split in self.recorded else None
        except UsageError:
            return None

    def _value(self, claim: Claim, metric: Metric, arrays: Mapping[str, Array]) -> tuple[float, float]:
        """Return the value of a metric and the effect of one prediction on it, or 0 where the value is far off."""
        value = float(metric(*(arrays[name] for name in reads(metric))))
        near = FAR * self.tolerances.get((claim.split, claim.metric), inf)
        return (value, 0.0) if abs(value - (claim.value or 0.0)) > near else measure(metric, arrays)


def _is_moved(claim: Claim, value: float, unmoved: Scores) -> bool:
    """Return whether a score differs from the one without the precision in the digits that the claim has."""
    before = unmoved.get(f"{claim.metric} on {claim.split}")
    return before is None or claim.decimals is None or round(value, claim.decimals) != round(before, claim.decimals)
