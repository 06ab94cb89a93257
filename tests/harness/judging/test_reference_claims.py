"""The claims that reference runs make: mean, standard deviation and number."""

from dataclasses import replace

import pytest

from harness.judging.reference_claims import reference_claims
from harness.records.record import Record, read_record
from tests.helpers.project import ROOT
from zoo.recipes import catalogue


@pytest.fixture(scope="module")
def records() -> list[Record]:
    files = (ROOT / "leaderboard" / "records" / "digits-resnet8").glob("retrain-seed1???-*/record.json")
    return [read_record(file) for file in sorted(files)]


def test_the_claim_of_the_recorded_reference_runs_is_that_of_their_recipe(records: list[Record]) -> None:
    (known,) = [claim for claim in catalogue.select_one("digits-resnet8").recipe.claims if claim.of == "retrain"]
    (claim,) = reference_claims(records)
    assert (claim["split"], claim["metric"], claim["selection"]) == (known.split, known.metric, known.selection)
    assert claim["reference_runs"] == known.reference_runs
    assert claim["value"] == pytest.approx(known.value, abs=5e-5)
    assert claim["sigma"] == pytest.approx(known.sigma, abs=5e-5)


def test_equal_scores_make_a_claim_without_sigma(records: list[Record]) -> None:
    (claim,) = reference_claims([records[0], records[0]])
    assert "sigma" not in claim


def test_one_run_and_failed_runs_and_runs_with_other_seeds_make_no_claim(records: list[Record]) -> None:
    own = replace(records[1], identity=replace(records[1].identity, seed=7))
    for runs in ([records[0]], [records[0], own], [records[0], replace(records[1], failure="not finite")]):
        assert reference_claims(runs) == []
