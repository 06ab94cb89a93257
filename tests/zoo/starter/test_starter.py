"""The starter suite and all shipped recipes: recipes build, claims equal the committed records, files are locked."""

import json
from pathlib import Path
from statistics import fmean, stdev

import jsonschema
import pytest

from harness.records.find_runs import read_all
from harness.records.record import Record, schema, verify_files
from leaderboard.table import reference_runs
from tests.helpers.device import device
from tests.helpers.project import ROOT, Zoo
from zoo.fetch.checksum import sha256
from zoo.fetch.lock import FilePin, read_lock
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry
from zoo.recipes.check import check_recipe
from zoo.recipes.claim import Claim

EVIDENCE = ROOT / "leaderboard" / "records"
ENTRIES = catalogue.entries()
STARTER = [entry for entry in ENTRIES if entry.suite == "starter"]


@pytest.fixture(scope="module")
def runs() -> list[tuple[Path, Record]]:
    return read_all(EVIDENCE)


def claim(entry: Entry, of: str) -> Claim:
    return next(claim for claim in entry.recipe.claims if claim.of == of)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_shipped_recipe_is_valid_and_short(entry: Entry) -> None:
    recipe, builder = entry.recipe, Builder()
    check_recipe(recipe, builder)
    assert len(entry.path.read_text(encoding="utf-8").splitlines()) <= 60
    if entry.suite != "starter":  # only these models are built without a Hub
        return
    assert {claim.of for claim in recipe.claims} >= {"weights", "retrain"}
    assert sum(parameter.numel() for parameter in builder.build(recipe.model, "model").parameters()) > 0


@pytest.mark.parametrize("entry", STARTER, ids=lambda entry: entry.name)
def test_a_claim_of_retraining_is_the_mean_of_ten_committed_runs(entry: Entry, runs: list[tuple[Path, Record]]) -> None:
    retrain = claim(entry, "retrain")
    values = reference_runs(entry, retrain, runs)
    assert sorted(values) == list(range(1000, 1010))
    assert retrain.reference_runs == 10
    assert retrain.value == pytest.approx(fmean(values.values()), abs=1e-6)
    assert retrain.sigma == pytest.approx(stdev(values.values()), abs=1e-6)


@pytest.mark.parametrize("entry", STARTER, ids=lambda entry: entry.name)
def test_the_shipped_weights_come_from_the_committed_run_that_the_claim_names(
    entry: Entry, runs: list[tuple[Path, Record]]
) -> None:
    assert entry.recipe.weights is not None
    weights = Sources().fetch(entry.recipe.weights)
    (record,) = [r for _, r in runs if r.entry == entry.name and r.identity.seed == 1000]
    assert weights.sha256 == record.weights
    assert weights.path.stat().st_size < 2_000_000
    result = record.result("test")
    assert result is not None
    assert claim(entry, "weights").value == pytest.approx(result.metrics["accuracy"]["value"], abs=1e-7)
    assert claim(entry, "weights").source.endswith(f"leaderboard/records/{entry.name}/{record.identity.folder}")


def test_committed_records_pass_the_published_schema_and_come_from_a_clean_checkout(
    runs: list[tuple[Path, Record]],
) -> None:
    paths = sorted(EVIDENCE.glob("*/*/record.json"))
    assert len(paths) == len(runs) >= 84
    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())
    for path, record in runs:
        validator.validate(json.loads(path.read_text(encoding="utf-8")))
        verify_files(path, record)
        assert record.environment["dirty"] is False
        assert path.parent.name == record.identity.folder


def test_the_lock_pins_exactly_the_shipped_files() -> None:
    locked = read_lock().pins["embedded:"].files
    shipped = {path.name: path for path in (ROOT / "zoo" / "starter").iterdir()}
    assert locked.keys() == shipped.keys()
    for name, path in shipped.items():
        assert locked[name] == FilePin(sha256=sha256(path), size=path.stat().st_size)


def test_the_starter_suite_is_reproduced(zoo: Zoo, tmp_path: Path) -> None:
    completed = zoo("verify", "--suite", "starter", "--device", device(), "--json")
    data = json.loads(completed.out)
    assert completed.code == 0
    assert data["schema"] == 2
    assert data["summary"] == {
        "reproduced": 6, "not-reproduced": 0, "inconclusive": 0, "not-compared": 0, "not-run": 0,
    }  # fmt: skip
    first = data["entries"][0]
    assert first.keys() >= {"entry", "suite", "verdict", "claims", "records"}
    judged, shown = first["claims"]
    assert judged.keys() >= {
        "of",
        "split",
        "metric",
        "claimed",
        "measured",
        "verdict",
        "why",
        "source",
        "prediction_band",
        "p_value",
    }
    assert (judged["of"], judged["verdict"], shown["of"], shown["verdict"]) == (
        "weights", "reproduced", "retrain", "not-run",
    )  # fmt: skip
    assert all(Path(path).is_relative_to(tmp_path) for entry in data["entries"] for path in entry["records"])
    assert "6 reproduced" in zoo("verify", "starter", "--device", device()).out


def test_a_changed_byte_of_a_weights_file_is_an_integrity_error(zoo: Zoo, damaged: Path) -> None:
    path = damaged / "zoo" / "starter" / "digits-resnet8.safetensors"
    expected = sha256(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    completed = zoo("verify", "digits*", "--json")
    assert completed.code == 5
    assert completed.err == f"{path}: expected sha256 {expected}, found {sha256(path)}\n"
    assert [entry["verdict"] for entry in json.loads(completed.out)["entries"]] == [
        "reproduced",
        "not-run",
        "reproduced",
    ]


@pytest.mark.parametrize(
    ("before", "after", "code", "verdict"),
    [
        ("value: 0.9788419", "value: 0.9488419", 1, "not-reproduced"),
        ("split: test", "split: holdout", 3, "not-compared"),
        ("metric: accuracy", "metric: f1", 3, "not-compared"),
    ],
)
def test_a_changed_claim_changes_the_verdict(
    before: str, after: str, code: int, verdict: str, zoo: Zoo, damaged: Path
) -> None:
    path = damaged / "configs" / "starter" / "digits-resnet8.yaml"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    completed = zoo("verify", "digits-resnet8", "digits-resnet14", "--json")
    assert completed.code == code
    verdicts = {entry["entry"]: entry["verdict"] for entry in json.loads(completed.out)["entries"]}
    assert verdicts == {"digits-resnet8": verdict, "digits-resnet14": "reproduced"}


def test_a_second_call_reuses_the_run_unless_its_files_were_changed(zoo: Zoo) -> None:
    first = json.loads(zoo("reproduce", "digits-resnet8", "--json").out)
    (path,) = map(Path, first["entries"][0]["records"])
    before = path.stat().st_mtime_ns
    assert json.loads(zoo("reproduce", "digits-resnet8", "--json").out) == first
    assert path.stat().st_mtime_ns == before
    predictions = next(path.parent.glob("predictions-*.npz"))
    predictions.write_bytes(predictions.read_bytes()[:-1] + b"x")
    assert zoo("reproduce", "digits-resnet8").code == 5
