"""The claims that reference runs make: mean, standard deviation and number."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.judging.measured_claims import claim_line, reference_claims
from harness.records.record import RecordedRun, read_record
from tests.helpers.project import ROOT
from zoo.recipes import catalogue
from zoo.recipes.schema import load_recipe


@pytest.fixture(scope="module")
def runs() -> list[RecordedRun]:
    files = (ROOT / "leaderboard" / "records" / "digits-resnet8").glob("retrain-seed1???-*/record.json")
    return [(file, read_record(file)) for file in sorted(files)]


def test_the_claim_of_the_recorded_reference_runs_is_that_of_their_recipe(runs: list[RecordedRun]) -> None:
    (known,) = [claim for claim in catalogue.select_one("digits-resnet8").recipe.claims if claim.of == "retrain"]
    (claim,) = reference_claims(runs)
    assert (claim["split"], claim["metric"], claim["selection"]) == (known.split, known.metric, known.selection)
    assert claim["reference_runs"] == known.reference_runs
    assert claim["value"] == pytest.approx(known.value, abs=5e-5)
    assert claim["sigma"] == pytest.approx(known.sigma, abs=5e-5)


def test_a_claim_is_read_as_it_is_printed(runs: list[RecordedRun], tmp_path: Path) -> None:
    shipped = catalogue.select_one("digits-resnet8").path.read_text()
    line = claim_line({**reference_claims(runs)[0], "source": "no: 'plain' text"})
    (tmp_path / "mine.yaml").write_text(f"{shipped.partition('claims:')[0]}claims:\n    - {line}\n")
    (claim,) = load_recipe(tmp_path / "mine.yaml").claims
    assert (claim.source, claim.reference_runs) == ("no: 'plain' text", 10)


def test_equal_scores_make_a_claim_without_sigma(runs: list[RecordedRun]) -> None:
    (claim,) = reference_claims([runs[0], runs[0]])
    assert "sigma" not in claim


def test_one_run_and_failed_runs_and_runs_with_other_seeds_make_no_claim(runs: list[RecordedRun]) -> None:
    other, second = runs[1]
    own = replace(second, identity=replace(second.identity, seed=7))
    for chosen in ([runs[0]], [runs[0], (other, own)], [runs[0], (other, replace(second, failure="not finite"))]):
        assert reference_claims(chosen) == []


def test_runs_that_predict_one_class_make_no_claim(runs: list[RecordedRun], tmp_path: Path) -> None:
    path, record = runs[0]
    shutil.copytree(path.parent, tmp_path / "run")
    (result,) = record.results
    arrays = dict(np.load(path.parent / result.predictions["file"]))
    np.savez(tmp_path / "run" / result.predictions["file"], **{**arrays, "predictions": arrays["predictions"] * 0})
    assert reference_claims([runs[1], (tmp_path / "run" / "record.json", record)]) == []


def test_rows_and_precision_are_stated(runs: list[RecordedRun]) -> None:
    half = [
        (path, replace(record, recipe={**record.recipe, "rows": {"test": "0-9"}},
                       identity=replace(record.identity, numerics={**record.identity.numerics, "precision": "bf16"})))
        for path, record in runs
    ]  # fmt: skip
    (claim,) = reference_claims(half)
    assert (claim["rows"], claim["precision"], "n" in claim) == ("0-9", "bf16", False)
