"""reproduce and verify."""

import json
from pathlib import Path

import pytest

from tests.helpers.project import TINY, Write, Zoo


def test_retraining_is_judged_over_its_seeds(zoo: Zoo, recipe_file: Write) -> None:
    claim = "{of: retrain, split: test, metric: accuracy, value: %s, sigma: 0.02, reference_runs: 10, source: here}"
    measured = json.loads(zoo("train", recipe_file(), "--json").out)["results"][0]["metrics"]["accuracy"]
    path = recipe_file(TINY + f"claims:\n  - {claim % measured}\n  - {claim % 0.999}\n")
    completed = zoo("reproduce", path, "--train", "--seeds", "3", "--json")
    (entry,) = json.loads(completed.out)["entries"]
    assert len(entry["records"]) == 3
    assert entry["claims"][1]["verdict"] == "not-reproduced"
    assert [claim["tested"] for claim in entry["claims"]] == [True, True]
    assert completed.code == 1
    path = recipe_file(TINY + f"claims:\n  - {claim % (measured + 0.02)}\n")
    assert zoo("reproduce", path, "--train", "--seeds", "1").code == 3  # one seed is too few: inconclusive


def test_reproduce_prints_claims_reasons_and_records(zoo: Zoo) -> None:
    completed = zoo("reproduce", "digits-resnet8")
    lines = completed.out.splitlines()
    assert lines[0] == "digits-resnet8: reproduced"
    assert lines[1] == "  weights: accuracy on test: claimed 0.9788419, measured 0.9788419: reproduced"
    assert lines[3].startswith("    source: ")
    assert lines[-1].startswith("  record: ")


def test_runs_without_claims_show_their_scores(zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo("reproduce", recipe_file(), "--train", "--seeds", "2")
    assert completed.code == 3
    assert "  the recipe has no claims about retraining\n  accuracy on test (last epoch): 0." in completed.out


def test_verify_prints_a_line_a_claim_and_a_summary(zoo: Zoo) -> None:
    completed = zoo("verify", "digits*")
    assert completed.code == 0
    assert len(completed.out.splitlines()) == 7
    assert completed.out.endswith("\n\n3 entries: 3 reproduced\n")


def test_an_entry_without_published_weights_is_not_run_and_keeps_its_claims(zoo: Zoo) -> None:
    completed = zoo("verify", "minilm-l6-mrpc", "--json")
    (entry,) = json.loads(completed.out)["entries"]
    assert (completed.code, entry["verdict"], entry["error"]) == (3, "not-run", None)
    assert all("--train" in claim["why"] for claim in entry["claims"])
    assert "minilm-l6-mrpc" in zoo("verify", "minilm-l6-mrpc").out


def test_a_strict_evaluation_is_a_run_of_its_own_and_says_how_it_was_computed(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = []
    for strict in ([], ["--strict"]):
        completed = zoo("reproduce", "digits-resnet8", *strict, "--json")
        cost = "digits-resnet8: strict: test in batches of fixed shapes, which compute 1.14 times its rows"
        assert (cost in completed.err) == bool(strict)
        (entry,) = json.loads(completed.out)["entries"]
        assert entry["verdict"] == "reproduced"
        records.append(json.loads(Path(entry["records"][0]).read_text()))
    assert [record["numerics"] for record in records] == [
        {"device": "cpu", "precision": "fp32"}, {"device": "cpu", "precision": "fp32", "strict": True},
    ]  # fmt: skip
    assert records[0]["key"] != records[1]["key"]
    fast, strict = (record["results"][0]["inference"] for record in records)
    assert fast == {"batch": {"rows": 512}, "near_ties": strict["near_ties"]}
    assert strict["strict"] is True
    assert zoo("reproduce", "digits-resnet8", "--strict", "--dry-run").out.endswith("0 runs to make\n")
    monkeypatch.setattr("harness.evaluation.split_runner.needs_check", lambda device: True)
    monkeypatch.setattr("harness.evaluation.split_runner.disagreements", lambda *_: 3)
    (entry,) = json.loads(zoo("reproduce", "digits-resnet8", "--fresh", "--json").out)["entries"]
    record = json.loads(Path(entry["records"][0]).read_text())
    assert (record["key"], record["results"][0]["inference"]["differing"]) == (records[0]["key"], 3)
    assert record["results"][0]["predictions"] == records[1]["results"][0]["predictions"]
    assert "test: 3 of 256 predictions differ between the fast and the strict evaluation" in record["findings"][0]
