"""The simulation in benchmarks/verdicts.py judges as zoo does, and the error rates in docs/verdicts.md hold."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
import pytest

from harness.judging.types import Measurement
from harness.judging.verdict import judge_all
from tests.helpers.project import ROOT
from zoo.recipes.claim import Claim

pytest.importorskip("matplotlib", reason="the extra `benchmark` is not installed")
PAGE = ROOT / "docs" / "verdicts.md"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import verdicts  # noqa: PLC0415

    yield verdicts
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.mark.parametrize("number", range(8))
def test_simulated_claims_get_the_verdicts_of_real_claims(benchmark: Any, number: int) -> None:
    reference, random = benchmark.REFERENCES[number], np.random.default_rng(number)
    zoos = benchmark.simulate(reference, benchmark.seeds_of(None, reference), 4.0, 6, random)
    found = benchmark.judged(zoos, 41)
    words = np.array(["reproduced", "inconclusive", "not-reproduced"])
    for zoo in range(6):
        pairs = [_as_claim(zoos, zoo, entry) for entry in range(41)]
        assert [judgement.verdict for judgement in judge_all(pairs, 41)] == list(words[found[zoo]])


def _as_claim(zoos: Any, zoo: int, entry: int) -> tuple[Claim, Measurement]:
    """Return a claim of 0.5 and runs with the simulated mean and standard deviation; the prior is 0.001."""
    reference, seeds, unit = zoos.reference, int(zoos.seeds[entry]), 0.001
    shape = np.linspace(-1, 1, seeds)
    shape = shape / stdev(shape) * zoos.seeds_sd[zoo, entry]
    values = tuple(float(v) for v in 0.5 + unit * (zoos.difference[zoo, entry] + shape))
    measured = reference.runs >= 5
    claim = Claim(
        of="retrain", split="test", metric="f1", source="simulated", value=0.5, reference_runs=reference.runs,
        sigma=unit * float(zoos.reference_sd[zoo, entry]) if measured else unit,
        prior=unit if reference.prior and measured else None,
    )  # fmt: skip
    return claim, Measurement(split="test", metric="f1", n=1000, values=values)


def test_false_alarms_are_rare_and_most_regressions_are_found(benchmark: Any) -> None:
    zoos = 2000
    for number, least in ((0, benchmark.cap(3, 41) - 0.03), (3, 0.8), (5, 0.8), (6, 0.8), (7, 0.8)):
        rows = {row["rule"]: row for row in benchmark.rates(benchmark.REFERENCES[number], None, zoos)}
        assert rows["zoo"]["false alarm"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / zoos)
        assert rows["zoo"]["found 4"] >= least


@pytest.mark.slow
def test_no_fixed_tolerance_has_both_fewer_false_alarms_and_more_power(benchmark: Any) -> None:
    for reference in benchmark.REFERENCES:
        for seeds in (1, 3, 8, 20, None):
            rows = {row["rule"]: row for row in benchmark.rates(reference, seeds, 300)}
            ours = rows.pop("zoo")
            for tolerance in benchmark.TOLERANCES:
                other = rows[f"{tolerance:g} points"]
                for shift in (1, 2, 4):
                    better = (
                        other["false alarm"] <= ours["false alarm"],
                        other[f"found {shift}"] >= ours[f"found {shift}"],
                    )
                    assert not all(better)


@pytest.mark.slow
def test_simulated_power_against_a_single_score_reaches_the_calculated_cap(benchmark: Any) -> None:
    for seeds in (3, 8):
        rows = {row["rule"]: row for row in benchmark.rates(benchmark.SINGLE, seeds, 4000)}
        assert rows["zoo"]["found 4"] == pytest.approx(benchmark.cap(seeds, 41), abs=0.03)


@pytest.mark.slow
def test_docs_hold_the_numbers_that_the_benchmark_prints(benchmark: Any) -> None:
    """One setting with the full ten thousand zoos; the rounded numbers are deterministic."""
    (row,) = (r for r in benchmark.rates(benchmark.REFERENCES[3], None, benchmark.ZOOS) if r["rule"] == "zoo")
    line = benchmark.table([row]).splitlines()[-1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    page = [[cell.strip() for cell in line.strip("|").split("|")] for line in _lines(PAGE)]
    assert cells in page


def _lines(path: Path) -> list[str]:
    return re.findall(r"^\|.*\|$", path.read_text(encoding="utf-8"), re.MULTILINE)
