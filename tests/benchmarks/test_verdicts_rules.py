"""The plain rules of the benchmark and `harness.judging` give the same verdicts, case by case."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.verdicts import plain_rules, samples
from benchmarks.verdicts.plain_rules import Claims
from benchmarks.verdicts.settings import Setting, settings_of
from harness.judging import statistics
from harness.judging.types import Measurement
from harness.judging.verdict import judge, judge_all
from zoo.recipes.claim import SHARES, Claim

SETTINGS = [setting for references in (1, 2, 3, 5, 10) for setting in settings_of(references).values()]
VERDICTS = np.array(["reproduced", "inconclusive", "not-reproduced", "not-compared"])
Pair = tuple[Claim, Measurement]


@pytest.fixture(autouse=True)
def _without_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the search for the number of further seeds, which takes most of the time and changes no verdict."""
    monkeypatch.setattr(statistics, "MOST_SEEDS", 1)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 9))])
def test_simulated_claims_get_the_same_verdicts(seed: int) -> None:
    random = np.random.default_rng(seed)
    for setting in SETTINGS:
        assert_same_verdicts(simulated_pairs(setting, 41 if seed else 4, random), family=41)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 9))])
def test_claims_with_rounding_failures_and_sampling_errors_get_the_same_verdicts(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(100 if seed else 25):
        assert_same_verdicts([odd_pair(random) for _ in range(12)], family=12)


@pytest.mark.parametrize("count", [400, pytest.param(20_000, marks=pytest.mark.slow)])
def test_scores_of_published_weights_get_the_same_verdicts(count: int) -> None:
    random, seen = np.random.default_rng(0), set()
    for _ in range(count):
        n, decimals = int(random.integers(20, 3000)), int(random.integers(0, 8))
        right = int(n * random.uniform(0.2, 1))
        share = min(max(right + int(random.normal(0, 1 + 0.005 * n)), 0), n) / n
        cut = math.floor(share * 10**decimals) / 10**decimals
        value = [round(share, decimals), cut, round(random.uniform(0.2, 1), decimals)][random.integers(3)]
        near_ties = int(random.choice([0, 1, 5, 30]))
        claim = Claim(of="weights", split="test", metric="accuracy", source="s", value=value, decimals=decimals)
        measured = Measurement(split="test", metric="accuracy", n=n, values=(right / n,), near_ties=near_ties)
        expected = VERDICTS[plain_rules.judge_count(value, decimals, n, right, near_ties)]
        assert judge(claim, measured).verdict == expected, (claim, measured)
        seen.add(expected)
    assert seen == set(VERDICTS)


def simulated_pairs(setting: Setting, count: int, random: np.random.Generator) -> list[Pair]:
    """Return some claims of a simulated zoo with their runs, each worse by up to 6 sigma."""
    claims = samples.simulate(setting, 1, random).claims
    pairs = []
    for entry in random.permutation(samples.FAMILY)[:count]:
        index, look = (0, entry), int(random.integers(1, 6)) if setting.looks else 1
        k = int(claims.count[index]) + look - 1
        lost = random.choice([0, 0, 1, 3, 6]) * samples.POINTS[entry]
        runs = claims.runs[index][:k]
        claim = Claim(
            of="retrain", split="test", metric="f1", source="s", value=float(claims.value[index]),
            sigma=_or_none(claims.sigma[index]), prior=_or_none(claims.prior[index]),
            reference_runs=int(claims.references[index]), failures=int(claims.reference_failures[index]),
        )  # fmt: skip
        values = tuple(float(v) if v <= samples.BASELINE else float(v - lost) for v in runs)
        constant = tuple(value <= samples.BASELINE for value in values)
        measured = Measurement(
            split="test", metric="f1", n=1000, values=values, constant=constant, baseline=samples.BASELINE, look=look
        )
        pairs.append((claim, measured))
    return pairs


def odd_pair(random: np.random.Generator) -> Pair:
    """Return a claim that is rounded, near its baseline, or without a sigma, with runs of which some failed."""
    r, k, sigma = int(random.integers(1, 12)), int(random.integers(1, 12)), 10 ** random.uniform(-3, -1.3)
    value = round(random.uniform(0.4, 0.95), decimals := int(random.integers(2, 6)))
    baseline = value - sigma * random.choice([2, 5, 30])
    lost = random.choice([0, 0, 1, 3, 6])
    values = value + sigma * (random.standard_normal(k) * random.choice([0.3, 1, 2]) - lost)
    fails = random.random(k) < random.choice([0, 0, 0.2, 0.6, 1])
    values = np.where(fails, baseline - 0.01 * random.random(k), values)
    metric = str(random.choice(["accuracy", "f1", "matthews_correlation"]))
    if metric == "matthews_correlation":
        values = np.where(fails & (random.random(k) < 0.5), np.nan, values)
    is_known = metric != "accuracy" or random.random() < 0.6
    claim = Claim(
        of="retrain", split="test", metric=metric, source="s", value=value, decimals=decimals, reference_runs=r,
        sigma=float(sigma * random.choice([0.5, 1, 1.5])) if is_known else None,
        prior=float(sigma * random.choice([0.2, 0.7, 1, 3])) if is_known and random.random() < 0.5 else None,
        failures=int(random.choice([0, 0, 1, 3])) if r > 1 else 0,
    )  # fmt: skip
    measured = Measurement(
        split="test", metric=metric, n=int(random.choice([100, 1000, 10_000])), values=tuple(map(float, values)),
        baseline=float(baseline) if random.random() < 0.9 else None, look=int(random.choice([1, 1, 1, 2, 3, 4])),
        constant=tuple(map(bool, random.random(k) < 0.1)) if random.random() < 0.3 else (),
        above_baseline=tuple(map(bool, random.random(k) < 0.3)) if random.random() < 0.3 else (),
    )  # fmt: skip
    return claim, measured


def assert_same_verdicts(pairs: Sequence[Pair], family: int) -> None:
    """Expect the same verdicts, and the same p-values behind them."""
    tests = plain_rules.test_claims(as_arrays(pairs))
    p = tests.ordering_p
    verdicts = VERDICTS[plain_rules.decide(tests, plain_rules.holm_divisors(p, family))[0]]
    for pair, judgement, verdict, expected in zip(pairs, judge_all(pairs, family), verdicts, p[0], strict=True):
        assert (judgement.verdict, judgement.holm_p) == (verdict, pytest.approx(expected)), (pair, judgement.why)


def as_arrays(pairs: Sequence[Pair]) -> Claims:
    """Return one zoo of these claims with their runs, as arrays."""
    most = max(len(measured.values) for _, measured in pairs)
    claims = [claim for claim, _ in pairs]
    return Claims(
        value=_row(claim.value for claim in claims),
        rounding=_row(0.5 * 10.0**-claim.decimals if claim.decimals else 0.0 for claim in claims),
        references=_row((claim.reference_runs for claim in claims), int),
        reference_failures=_row((claim.failures for claim in claims), int),
        sigma=_row(claim.sigma for claim in claims),
        prior=_row(claim.prior for claim in claims),
        sampling=_row(_sampling_error(*pair) for pair in pairs),
        baseline=_row(measured.baseline for _, measured in pairs),
        runs=_row(_padded(measured.values, most) for _, measured in pairs),
        count=_row((len(measured.values) for _, measured in pairs), int),
        flagged=_row((_flagged(measured, most) for _, measured in pairs), bool),
        above=_row(([*measured.above_baseline, *[False] * most][:most] for _, measured in pairs), bool),
        look=_row((measured.look for _, measured in pairs), int),
    )


def _row(values: Any, kind: type = float) -> NDArray[Any]:
    """Return values as the row of one zoo; None becomes NaN."""
    return np.array([list(values)], dtype=kind)


def _padded(values: Sequence[float], most: int) -> list[float]:
    return [*values, *[math.nan] * most][:most]


def _flagged(measured: Measurement, most: int) -> list[bool]:
    constant = measured.constant or (False,) * len(measured.values)
    return [*(bad or math.isnan(v) for bad, v in zip(constant, measured.values, strict=True)), *[False] * most][:most]


def _sampling_error(claim: Claim, measured: Measurement) -> float:
    is_share = claim.metric in SHARES and claim.value is not None
    return math.sqrt((1 - claim.value) / (2 * measured.n)) if is_share and claim.value is not None else math.nan


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
