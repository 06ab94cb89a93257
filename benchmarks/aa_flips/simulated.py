"""Simulated pairs of runs of one model, of equally good models, and of trainings of one recipe.

Two runs of one model differ by numeric noise: each logit of each run moves by a normal number, whose standard deviation
is a third of a largest change, cut at this change. The largest change is `harness.judging.near_ties.NOISE`, which zoo
expects of the precision, or more. The claim comes from a third run of the model in fp32. Two trainings of a recipe are
two sets of seeds against the same reference runs.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.aa_flips.diffs import compare_accuracies, finds_difference
from benchmarks.aa_flips.rates import Row, rate, rate_of_groups
from benchmarks.diff_intervals import arrays_of, probabilities
from benchmarks.verdicts import plain_rules
from benchmarks.verdicts.plain_rules import NOT_REPRODUCED, Floats, Integers
from benchmarks.verdicts.samples import FAMILY, random_of, simulate
from benchmarks.verdicts.settings import SEVERAL, SINGLE_SCORE, Setting
from harness.judging.near_ties import NOISE, near_ties
from harness.judging.types import Measurement, Verdict
from harness.judging.weights import judge_weights
from zoo.recipes.claim import Claim

SEED, SEEDS = 20231206, 5
SIZES = (277, 5_000)
PRECISIONS = ("fp32", "fp16", "bf16")
BEYOND = (("fp32", NOISE["tf32"]), ("fp16", 4 * NOISE["fp16"]), ("bf16", 4 * NOISE["bf16"]))
"""Precisions with more noise than zoo expects: fp32 that is computed as TF32, and four times the noise."""
MARGIN = 2.0
"""The standard deviation of the logits of a simulated model with two classes."""
FAILING = frozenset({"not-reproduced"})
"""The default of the input `fail-on`."""
RETRAININGS = {
    "5 reference runs": SEVERAL[5]["normal"], "10 reference runs": SEVERAL[10]["normal"],
    "one published score, prior right to a quarter": SINGLE_SCORE["prior right to a quarter"],
}  # fmt: skip


def simulated_rows(pairs: int) -> Iterator[Row]:
    """Yield all rows of simulated pairs."""
    for precision in PRECISIONS:
        for n in SIZES:
            yield weights_row(precision, n, pairs)
    for precision, noise in BEYOND:
        for n in SIZES:
            yield weights_row(precision, n, pairs, noise=noise)
    for n in SIZES:
        yield equal_models_row(n, pairs)
    for name, setting in RETRAININGS.items():
        yield from retraining_rows(name, setting, pairs)


def weights_row(precision: str, n: int, pairs: int, *, noise: float | None = None) -> Row:
    """Return how often two runs of one model in a precision differ.

    Args:
        precision: The precision of both runs.
        n: The number of examples.
        pairs: The number of pairs.
        noise: The largest change of a logit; None for the one that zoo expects of the precision.
    """
    random, most = np.random.default_rng([SEED, n, PRECISIONS.index(precision)]), NOISE[precision]
    verdicts, jobs, reports = 0, 0, 0
    for _ in range(pairs):
        logits = random.normal(0, MARGIN, (n, 2))
        labels = np.where(random.random(n) < 0.9, logits.argmax(axis=1), random.integers(0, 2, n))
        claimed = (noisy(logits, NOISE["fp32"], random).argmax(axis=1) == labels).mean()
        runs = [noisy(logits, most if noise is None else noise, random) for _ in "ab"]
        judged = [_verdict(float(claimed), run, labels, precision) for run in runs]
        verdicts += judged[0] != judged[1]
        jobs += (judged[0] in FAILING) != (judged[1] in FAILING)
        sides = [{"labels": labels, "predictions": run.argmax(axis=1)} for run in runs]
        reports += finds_difference(compare_accuracies(*sides))
    times = "" if noise is None else f" times {noise / most:g}"
    return Row(
        pairs_of=f"weights, noise of {precision}{times}, {n:,} rows", pairs=pairs, verdicts=rate(verdicts, pairs),
        jobs=rate(jobs, pairs), diffs=rate(reports, pairs),
    )  # fmt: skip


def noisy(logits: Floats, noise: float, random: np.random.Generator) -> Floats:
    """Return logits `(N, C)` that moved by at most `noise` each."""
    return logits + np.clip(random.normal(0, noise / 3, logits.shape), -noise, noise)


def _verdict(claimed: float, logits: Floats, labels: Integers, precision: str) -> Verdict:
    n = len(labels)
    noise = max(NOISE[precision], NOISE["fp32"])
    claim = Claim(
        of="weights", split="test", metric="accuracy", value=round(claimed, 4), decimals=4, n=n, source="simulated"
    )
    measured = Measurement(
        split="test", metric="accuracy", n=n, values=(float((logits.argmax(axis=1) == labels).mean()),),
        one_prediction=1 / n, precision=precision, near_ties=int(near_ties(logits, noise).sum()),
    )  # fmt: skip
    return judge_weights(claim, measured).verdict


def equal_models_row(n: int, pairs: int) -> Row:
    """Return how often `zoo diff` reports a difference between two models with the same true accuracy of 85 %."""
    random = np.random.default_rng([SEED, n])
    drawn = random.multinomial(n, probabilities(0.5, 0.85, 0.85, 0.5), size=pairs)
    reports = sum(finds_difference(compare_accuracies(*arrays_of(counts))) for counts in drawn)
    return Row(pairs_of=f"two models of equal accuracy, {n:,} rows", pairs=pairs, diffs=rate(reports, pairs))


def retraining_rows(name: str, setting: Setting, zoos: int) -> list[Row]:
    """Return the rows of trainings with two sets of seeds: of each entry, and of catalogues of 41 entries.

    The verdicts of a catalogue depend on each other, since the level of each test depends on the other tests.
    """
    sides = [_retrained(setting, zoos, first) for first in (0, SEEDS)]
    failed = [verdicts == NOT_REPRODUCED for verdicts in sides]
    differ, jobs = sides[0] != sides[1], failed[0] != failed[1]
    catalogues = failed[0].any(axis=1) != failed[1].any(axis=1)
    what = f"trainings, {SEEDS} seeds, {name}"
    return [
        Row(pairs_of=what, pairs=differ.size, verdicts=rate_of_groups(differ), jobs=rate_of_groups(jobs)),
        Row(pairs_of=f"catalogues of {FAMILY} of these", pairs=zoos, jobs=rate(int(catalogues.sum()), zoos)),
    ]


def _retrained(setting: Setting, zoos: int, first: int) -> Integers:
    """Return the verdicts by the seeds from `first` on, `(zoos, 41)`. The claims are the same for each `first`."""
    both = replace(setting, seeds=2 * SEEDS)
    claims, chosen = simulate(both, zoos, random_of(both)).claims, slice(first, first + SEEDS)
    part = {name: getattr(claims, name)[..., chosen] for name in ("runs", "flagged", "above")}
    tests = plain_rules.test_claims(replace(claims, count=np.full_like(claims.count, SEEDS), **part))
    return plain_rules.decide(tests, plain_rules.holm_divisors(tests.ordering_p, FAMILY))
