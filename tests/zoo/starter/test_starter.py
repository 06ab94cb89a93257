"""The starter suite and all shipped recipes: recipes build, claims equal the committed records, files are locked."""

import json
from pathlib import Path
from statistics import fmean, stdev

import jsonschema
import numpy as np
import pytest

from harness.judging.measure import read_predictions
from harness.records.arrays import rows_not_finite
from harness.records.find_runs import read_all
from harness.records.record import Record, Result, schema, verify_files
from tests.helpers.device import device
from tests.helpers.project import ROOT, Zoo
from zoo.fetch.checksum import sha256
from zoo.fetch.lock import FilePin, read_lock
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry
from zoo.recipes.check import check_entry, missing_files
from zoo.recipes.claim import SHARES, Claim
from zoo.recipes.public_data import find_public_data

EVIDENCE = ROOT / "leaderboard" / "records"
ENTRIES = catalogue.entries()
STARTER = [entry for entry in ENTRIES if entry.suite == "starter"]
MEASURED = catalogue.select(["starter", "methods", "minilm", "cifar10-cpu"])
"""The entries whose trainings are claimed by our own runs."""
FLOAT32 = 6e-8
"""Rounding of a published F1 that was computed in fp32: 26656/30265 is printed as 0.8807534."""


@pytest.fixture(scope="module")
def runs() -> list[tuple[Path, Record]]:
    return read_all(EVIDENCE)


def claim(entry: Entry, of: str) -> Claim:
    return next(claim for claim in entry.recipe.claims if claim.of == of)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_shipped_recipe_is_valid_and_short(entry: Entry) -> None:
    recipe, builder = entry.recipe, Builder().at(entry.recipe_repo, entry.folder)
    check_entry(entry, builder)
    assert missing_files(recipe, builder) == []
    assert len(entry.path.read_text(encoding="utf-8").splitlines()) <= 60
    if entry.suite != "starter":  # only these models are built without a Hub
        return
    assert {claim.of for claim in recipe.claims} >= {"weights", "retrain"}
    assert sum(parameter.numel() for parameter in builder.build(recipe.model, "model").parameters()) > 0


@pytest.mark.parametrize("entry", MEASURED, ids=lambda entry: entry.name)
def test_a_claim_of_retraining_is_computed_from_the_committed_reference_runs(
    entry: Entry, runs: list[tuple[Path, Record]]
) -> None:
    """Every reference run counts, except for degenerate ones, which are the claim's failures."""
    for retrain in [claim for claim in entry.recipe.claims if claim.of == "retrain"]:
        scores = reference_scores(entry, retrain, runs)
        values = [value for value in scores.values() if value is not None]
        assert sorted(scores) == list(range(1000, 1000 + len(scores)))
        assert (retrain.reference_runs, retrain.failures) == (len(values), len(scores) - len(values))
        assert retrain.value == pytest.approx(fmean(values), abs=1e-6)
        if len(values) > 1:
            assert retrain.sigma == pytest.approx(stdev(values), abs=1e-6)
        if entry.suite == "methods" and retrain.prior is not None:
            assert retrain.prior == claim(catalogue.select_one("digits-resnet8"), "retrain").sigma


def reference_scores(entry: Entry, of: Claim, runs: list[tuple[Path, Record]]) -> dict[int, float | None]:
    """Return the score of every reference run of the present recipe by seed; None for a degenerate run."""
    scores: dict[int, float | None] = {}
    for path, record in runs:
        run = record.identity
        if record.entry != entry.name or run.digest != entry.recipe.digest or run.seed is None or not run.is_reference:
            continue
        result = record.result(of.split, of.selection)
        assert run.seed not in scores
        assert result is None or result.n == of.n
        scores[run.seed] = None if result is None or is_degenerate(path, result) else result.metrics[of.metric]["value"]
    return scores


def is_degenerate(path: Path, result: Result) -> bool:
    arrays = read_predictions(path, result)
    return rows_not_finite(arrays) > 0 or len(np.unique(arrays["predictions"], axis=0)) == 1


def test_every_claim_says_how_many_examples_it_is_about() -> None:
    for entry in ENTRIES:
        data = find_public_data(entry.recipe.task)
        assert data is not None
        for one in entry.recipe.claims:
            has_few = entry.suite == "cifar10-cpu" and one.of == "retrain"  # the first tenth of the test images
            assert one.n == (1000 if has_few else (data.rows | data.hidden)[one.split]), (entry.name, one)


def test_every_prior_has_its_source_in_the_comment_and_a_missing_one_is_named() -> None:
    for entry in ENTRIES:
        lines = entry.path.read_text(encoding="utf-8").splitlines()
        comment = " ".join(line.removeprefix("# ") for line in lines if line.startswith("# "))
        for one in [one for one in entry.recipe.claims if one.of == "retrain" and one.gates]:
            prior = one.sigma if one.prior is None and one.reference_runs == 1 else one.prior
            if prior is None:
                assert one.sigma is not None or "No prior of sigma" in comment, entry.name
            elif "ten runs of digits-resnet8" not in one.source:
                assert f"{prior:g}" in comment or (one.metric == "f1" and "The prior of F1" in comment), entry.name


def test_every_claimed_accuracy_is_a_number_of_right_answers() -> None:
    """With 7 decimals this proves the split. A mean of r runs counts the answers of all of them."""
    for entry in ENTRIES:
        errors = 0
        for one in entry.recipe.claims:
            if one.value is None:  # it is in a log
                continue
            assert one.n is not None
            half = 10.0 ** -(one.decimals or len(one.written["value"]) - 2) / 2 + 1e-12
            answers = one.n * one.reference_runs
            if one.metric in SHARES:
                right = round(one.value * answers)
                errors = answers - right
                assert abs(right / answers - one.value) <= half, (entry.name, one)
            elif one.metric == "f1" and one.of == "weights":  # F1 = 2 TP / (2 TP + wrong answers)
                hits = 2 * round(one.value * errors / (1 - one.value) / 2)
                assert abs(hits / (hits + errors) - one.value) <= half + FLOAT32, (entry.name, one)


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
        ("value: 0.9788419", "value: 0.9487751", 1, "not-reproduced"),  # 852 of 898
        ("value: 0.9788419", "value: 0.9488419", 3, "not-compared"),
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
