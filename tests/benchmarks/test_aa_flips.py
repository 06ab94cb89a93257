"""The A/A flip rate of CI: simulated pairs of the same model, and the table of docs/repeated-verdicts.md."""

import json

import pytest
from scipy import stats

from benchmarks.aa_flips import (
    BEGIN,
    END,
    PAGE,
    RESULTS,
    RETRAININGS,
    equal_models_row,
    page_text,
    retraining_rows,
    upper_bound,
    weights_rows,
)


def test_noise_of_the_precision_never_fails_a_job() -> None:
    for precision in ("fp32", "fp16", "bf16"):
        verified, _ = weights_rows(precision, 277, 40)
        assert verified.failures == 0
    verdicts, reports = weights_rows("fp32", 277, 40)
    assert (verdicts.verdicts, reports.failures) == (0, 0)


def test_noise_beyond_that_of_the_precision_flips_verdicts() -> None:
    verified, compared = weights_rows("fp32", 277, 300, noise=0.7)
    assert verified.verdicts is not None
    assert min(verified.verdicts, verified.failures, compared.failures) > 0


def test_equally_good_models_are_rarely_reported_as_different() -> None:
    row = equal_models_row(277, 200)
    assert stats.binomtest(row.failures, row.pairs, 0.05, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("name", RETRAININGS)
def test_correct_trainings_rarely_fail_one_of_two_jobs(name: str) -> None:
    entries, catalogues = retraining_rows(name, RETRAININGS[name], 60)
    assert entries.verdicts is not None
    assert entries.failures <= entries.verdicts < entries.pairs
    assert stats.binomtest(catalogues.failures, 60, 0.1, alternative="greater").pvalue > 1e-3


def test_the_upper_bound_is_that_of_scipy() -> None:
    for count, of in ((0, 102), (3, 1000)):
        interval = stats.binomtest(count, of, alternative="less").proportion_ci(0.95)
        assert upper_bound(count, of) == pytest.approx(interval.high)
    assert upper_bound(5, 5) == 1


def test_the_page_shows_the_stored_results() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert results["real"]["rows"][0]["pairs"] >= 100
    assert min(row["pairs"] for row in results["simulated"]) >= 1_000
    shown = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    assert shown.strip() == page_text(results)
