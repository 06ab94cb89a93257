"""Claims and runs that are about some rows of a split."""

from typing import Any

import pytest

from harness.judging.chosen_rows import other_rows
from harness.records.recorded_claims import claim_data, claim_from
from tests.helpers.claims import RETRAIN, WEIGHTS, judged, measurement
from zoo.recipes.claim import Claim
from zoo.recipes.row_subset import RowSubset

SUBSET = measurement(0.875, full_n=50_000, scoring={"rows": "0-399", "of": 50_000})


@pytest.mark.parametrize(
    ("rows", "measured", "why"),
    [
        (
            None,
            SUBSET,
            "Measured on 400 of 50,000 rows (0-399) of 'test', but the claim names no rows, so it counts as claimed on"
            " all of them; write `rows: 0-399` in the claim if it was measured on the same rows.",
        ),
        (
            None,
            measurement(0.875, full_n=900, scoring={"rows": "0-299, 400-499", "of": 900}),
            "write `rows: [0-299, 400-499]` in the claim",
        ),
        (
            "0-399",
            measurement(0.875),
            "Claimed on the rows 0-399 of 'test', but measured on all 400; write `rows: {test: 0-399}` in the recipe",
        ),
        ("400-799", SUBSET, "Measured on 400 of 50,000 rows (0-399) of 'test', but claimed on the rows 400-799."),
    ],
)
def test_other_rows_are_not_compared(rows: str | None, measured: object, why: str) -> None:
    claim = {"rows": None if rows is None else RowSubset(rows), "n": 400}
    for kind in (WEIGHTS, RETRAIN):
        judgement = judged(kind, measured, **claim)  # type: ignore[arg-type]
        assert judgement.verdict == "not-compared"
        assert why in judgement.why


def test_the_same_rows_are_compared_with_their_own_number() -> None:
    judgement = judged(WEIGHTS, SUBSET, rows=RowSubset("0-399"))
    assert (judgement.verdict, judgement.counts and judgement.counts.n) == ("reproduced", 400)
    assert judgement.why.endswith("Scored: 400 of 50,000 rows (0-399).")
    single = {**RETRAIN, "sigma": None, "reference_runs": 1, "rows": RowSubset("0-399")}
    sigma = judged(single, SUBSET).sigma
    assert sigma == pytest.approx((0.125 / 800) ** 0.5)  # the sampling error of 400 rows, not of 50,000


def test_rows_of_some_classes_are_compared_only_with_a_claim_that_states_their_number() -> None:
    measured = measurement(0.875, full_n=50_000, scoring={"classes": 8, "of": 50_000})
    assert "write `n: 400` if it was measured on the same" in judged(WEIGHTS, measured).why
    judgement = judged(WEIGHTS, measured, n=400)
    assert judgement.verdict == "reproduced"
    assert judgement.why.endswith("Scored: 400 of 50,000 rows (only 8 of the classes).")


@pytest.mark.parametrize("stated", [{}, {"rows": RowSubset("0-9, 20")}, {"threshold": 0.3}, {"threshold_from": "dev"}])
def test_a_claim_is_stored_with_its_rows_and_threshold(stated: dict[str, Any]) -> None:
    claim = Claim(**WEIGHTS, **stated)
    data = claim_data(claim)
    assert claim_from(data) == claim
    assert {name for name in ("rows", "threshold", "threshold_from") if name in data} == set(stated)
    with pytest.raises(ValueError, match="names no rows"):
        claim_from({**data, "rows": "all"})


@pytest.mark.parametrize(
    ("rows", "scoring"),
    [
        ("0-399", {}),
        (None, {"rows": "0-399", "of": 400}),
        ("0-199, 200-399", {"rows": "0-399", "of": 400}),
        ("0-1,2-3", {"rows": "0-3", "of": 900}),
    ],
)
def test_rows_in_other_words_are_the_same_rows(rows: str | None, scoring: dict[str, Any]) -> None:
    claim = Claim(**WEIGHTS, rows=None if rows is None else RowSubset(rows))
    assert other_rows(claim, measurement(0.875, full_n=scoring.get("of", 400), scoring=scoring)) == ""
