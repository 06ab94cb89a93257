"""The A/A flip rate of CI: simulated pairs of the same model, and the table of docs/repeated-verdicts.md."""

import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.aa_flips.diffs import compare_accuracies, finds_difference
from benchmarks.aa_flips.rates import Rate, percent_above, rate_of_groups, upper_bound
from benchmarks.aa_flips.report import BEGIN, CI_PAGE, END, PAGE, headlines_of, read_results, text_of
from benchmarks.aa_flips.simulated import RETRAININGS, equal_models_row, retraining_rows, weights_row
from harness.diagnosis.diff import diff, find_record
from harness.judging.near_ties import NOISE
from harness.judging.paired import Array
from harness.records.record import read_record
from tests.helpers.project import ROOT

EVIDENCE = ROOT / "leaderboard" / "records"
SHOWN, SHOWN_IN_CI = (
    page.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip() for page in (PAGE, CI_PAGE)
)


def count_of(rate: Rate | None) -> int:
    assert rate is not None
    return rate.count


def test_noise_that_fails_jobs_in_fp32_fails_none_in_the_precision_that_it_belongs_to() -> None:
    """It changes predictions in both cases."""
    declared = weights_row("bf16", 5_000, 60)
    assert count_of(declared.jobs) == 0 < count_of(declared.verdicts)
    beyond = weights_row("fp32", 277, 60, noise=NOISE["bf16"])
    assert count_of(beyond.jobs) > 0


def test_equally_good_models_are_rarely_reported_as_different() -> None:
    row = equal_models_row(277, 200)
    assert stats.binomtest(count_of(row.diffs), row.pairs, 0.05, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("name", RETRAININGS)
def test_correct_trainings_rarely_fail_one_of_two_jobs(name: str) -> None:
    entries, catalogues = retraining_rows(name, RETRAININGS[name], 60)
    assert count_of(entries.jobs) <= count_of(entries.verdicts) < entries.pairs
    assert stats.binomtest(count_of(catalogues.jobs), 60, 0.1, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize(("entry", "seeds", "differs"), [
    ("entail-bert-l2h32", (1000, 1001), True), ("entail-bert-l2h64", (1000, 1001), True),
    ("digits-resnet8", (1000, 1001), False),
])  # fmt: skip
def test_simulated_predictions_are_compared_as_the_diff_of_two_records(
    entry: str, seeds: tuple[int, int], differs: bool
) -> None:
    paths = [find_record(f"{entry}:{seed}", ROOT / "nowhere", EVIDENCE, str) for seed in seeds]
    (of_records,) = diff(*paths).splits
    of_arrays = compare_accuracies(*(predictions_of(path) for path in paths))
    assert finds_difference(of_records) is finds_difference(of_arrays) is differs
    assert (of_arrays.better, of_arrays.p) == (of_records.better, of_records.p)
    recorded = next(change for change in of_records.metrics if change.metric == "accuracy")
    for end in ("low", "high"):
        assert getattr(of_arrays.metrics[0].interval, end) == pytest.approx(getattr(recorded.interval, end))


def predictions_of(path: Path) -> dict[str, Array]:
    (result,) = read_record(path).results
    with np.load(path.parent / result.predictions["file"]) as arrays:
        return {name: arrays[name] for name in ("labels", "predictions")}


def test_the_upper_bound_is_that_of_scipy() -> None:
    for count, of in ((0, 102), (3, 1000)):
        interval = stats.binomtest(count, of, alternative="less").proportion_ci(0.95)
        assert upper_bound(count, of) == pytest.approx(interval.high)
    assert upper_bound(5, 5) == 1


def test_pairs_that_differ_together_count_as_fewer_pairs() -> None:
    alone, together = np.zeros((2, 100, 10), bool)
    alone[:20, 0] = together[:2] = True
    assert rate_of_groups(alone).at_most == pytest.approx(upper_bound(20, 1000))
    assert rate_of_groups(together).at_most == pytest.approx(upper_bound(2, 100), abs=1e-3)
    assert rate_of_groups(np.zeros((100, 10), bool)).at_most == upper_bound(0, 100)


@given(st.floats(1e-9, 1))
def test_a_shown_bound_is_rounded_up_by_less_than_a_tenth(share: float) -> None:
    shown = Decimal(percent_above(share).removesuffix(" %"))
    assert 100 * Decimal(share) <= shown < 110 * Decimal(share)


def test_no_bound_of_the_page_is_below_the_bound_or_the_rate_that_was_found() -> None:
    results, shown = read_results(), re.findall(r"^\| (?!pairs of).*", SHOWN, re.MULTILINE)
    rows = (results.real.row, *results.simulated)
    for row, line in zip(rows, shown, strict=True):
        rates = [of for of in (row.verdicts, row.jobs, row.diffs) if of is not None and of.at_most is not None]
        for of, text in zip(rates, re.findall(r"at\smost\s([\d.]+)\s%", line), strict=True):
            assert float(text) >= 100 * max(of.at_most, of.count / row.pairs)


def test_the_page_shows_the_stored_results() -> None:
    results = read_results()
    assert results.real.row.pairs >= 100
    assert min(row.pairs for row in results.simulated) >= 1_000
    assert text_of(results) == SHOWN
    assert headlines_of(results) == SHOWN_IN_CI


def test_rows_beyond_the_expected_noise_have_jobs_that_differ_and_repeated_models_have_no_bound() -> None:
    results = read_results()
    beyond = [row for row in results.simulated if "fp32 times" in row.pairs_of]
    assert beyond
    assert all(count_of(row.jobs) > 0 for row in beyond)
    real = results.real
    assert all(of and of.at_most is None for of in (real.row.verdicts, real.row.jobs, real.row.diffs))
    assert real.row.pairs > real.models
