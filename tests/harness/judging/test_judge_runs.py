"""Judging entries by their records: majority-class baseline, recorded predictions, and the family of claims."""

import copy
import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.judging.baselines import majority_baseline
from harness.judging.judge_runs import EntryRuns, family_size, judge_entries
from harness.judging.measure import measure_claim, read_predictions
from harness.judging.verdict import judge_all
from harness.records.record import Identity, RecordedRun, Result, read_record
from tests.helpers.project import ROOT, TINY, Zoo
from zoo import paths
from zoo.errors import IntegrityError, SourceError
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.claim import Claim

EVIDENCE = ROOT / "leaderboard" / "records"
RETRAINED = """\
claims:
  - {of: retrain, split: test, metric: accuracy, value: 0.5, sigma: 0.1, source: x}
"""


def run_of(entry: str, mode: str) -> Path:
    return next((EVIDENCE / entry).glob(f"{mode}-*/record.json"))


@pytest.mark.parametrize(
    ("metric", "labels", "expected"),
    [
        ("accuracy", [0, 0, 0, 1, 2], 0.6),
        ("f1", [1, 1, 1, 0], 6 / 7),  # predicting all positive: precision 3/4, recall 1
        ("f1", [0, 1, 2], None),
        ("top5_accuracy", [0, 1, 2, 3, 4, 5, 5], 6 / 7),
        ("matthews_correlation", [0, 1, 1], 0.0),
        ("pearson", [0, 1, 1], 0.0),
        ("mean_iou", [0, 1], None),
    ],
)
def test_majority_baseline_of_each_metric(metric: str, labels: list[int], expected: float | None) -> None:
    assert majority_baseline(metric, np.array(labels)) == (None if expected is None else pytest.approx(expected))


def test_majority_baselines_of_rte_and_mrpc_match_the_literature() -> None:
    """146 of 277 and 279 of 408."""
    assert majority_baseline("accuracy", np.repeat([0, 1], [146, 131])) == pytest.approx(0.5271, abs=1e-4)
    assert majority_baseline("f1", np.repeat([1, 0], [279, 129])) == pytest.approx(0.8122, abs=1e-4)


def test_predictions_of_weights_are_compared_with_committed_predictions_of_the_same_weights(tmp_path: Path) -> None:
    path = run_of("digits-resnet8", "weights")
    record = read_record(path)
    claim = next(c for c in catalogue.select_one("digits-resnet8").recipe.claims if c.of == "weights")
    found = measure_claim(claim, [(path, record)], EVIDENCE)
    assert found is not None
    assert found.flips is not None
    assert (found.flips.n, found.flips.flipped) == (898, 0)
    alone = measure_claim(claim, [(path, record)], tmp_path)
    assert alone is not None
    assert alone.flips is None


def test_an_equal_score_from_other_predictions_is_not_reproduced(tmp_path: Path) -> None:
    """One right prediction becomes wrong and one wrong prediction right, so the score stays as claimed."""
    folder = tmp_path / "weights-1"
    shutil.copytree(run_of("digits-resnet8", "weights").parent, folder)
    path, record = folder / "record.json", read_record(folder / "record.json")
    arrays = read_predictions(path, record.results[0])
    right = arrays["predictions"] == arrays["labels"]
    gained, lost = np.flatnonzero(~right)[0], np.flatnonzero(right)[0]
    arrays["predictions"] = arrays["predictions"].copy()
    arrays["predictions"][gained], arrays["predictions"][lost] = (
        arrays["labels"][gained],
        (arrays["labels"][lost] + 1) % 10,
    )
    np.savez(folder / "predictions-test.npz", **arrays)
    entry = catalogue.select_one("digits-resnet8")
    (outcome,) = judge_entries([EntryRuns(entry=entry, mode="weights", runs=((path, record),))], EVIDENCE)
    judgement = outcome.judgements[0]
    assert (outcome.verdict, judgement.measured) == ("not-reproduced", pytest.approx(0.9788419))
    assert "2 of 898 predictions differ from those recorded for these weights" in judgement.why
    assert "1 became right and 1 wrong (McNemar's test: p = 1)" in judgement.why


def test_a_family_is_all_its_retraining_claims_that_gate() -> None:
    claims = [claim for entry in catalogue.entries() for claim in entry.recipe.claims]
    gating = sum(claim.of == "retrain" and claim.gates for claim in claims)
    assert gating > 100
    assert family_size(catalogue.entries()) == gating
    assert family_size([catalogue.select_one("minilm-l6-wnli")]) == family_size([]) == 1


def test_shipped_entries_are_judged_in_the_family_of_the_catalogue_and_other_recipes_in_that_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    families: dict[str, int] = {}

    def noting_the_family(pairs: Any, family: int) -> Any:
        families[pairs[0][0].source[:8]] = family
        return judge_all(pairs, family)

    monkeypatch.setattr("harness.judging.judge_runs.judge_all", noting_the_family)
    shipped, local = catalogue.select_one("digits-resnet8"), list[Entry]()
    for name in ("mine", "yours"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(TINY + RETRAINED.replace("source: x", f"source: {name}"))
        local.append(catalogue.local(path))
    run = run_of("digits-resnet8", "retrain-seed0")
    runs = ((run, read_record(run)),)
    judge_entries([EntryRuns(entry=entry, mode="retrain", runs=runs) for entry in (shipped, *local)], EVIDENCE)
    assert families == {"mean and": family_size(catalogue.entries()), "mine": 2, "yours": 2}
    judge_entries([EntryRuns(entry=local[0], mode="retrain", runs=runs)], EVIDENCE)
    assert families["mine"] == 1


def copied_run(
    folder: Path, *, value: float = 0.97, created: str = "2026-01-01T00:00:00Z", **changes: Any
) -> RecordedRun:
    """Copy a committed training of digits-resnet8, with another score, and other fields of its identity."""
    shutil.copytree(run_of("digits-resnet8", "retrain-seed1000").parent, folder)
    data = json.loads((folder / "record.json").read_text())
    data["results"][0]["metrics"]["accuracy"]["value"] = value
    data |= {"seed": 0, "created": created, **changes}
    data["key"] = key_of(data)
    (folder / "record.json").write_text(json.dumps(data))
    return folder / "record.json", read_record(folder / "record.json")


CLAIM = Claim(of="retrain", split="test", metric="accuracy", value=0.97, sigma=0.01, source="x")
BF16, CUDA = {"precision": "bf16", "device": "cpu"}, {"precision": "fp32", "device": "cuda"}


def test_a_seed_counts_once_and_runs_of_other_numerics_are_not_pooled(tmp_path: Path) -> None:
    runs = [
        copied_run(tmp_path / "0", value=0.96),
        copied_run(tmp_path / "0again", value=0.97, created="2026-01-02T00:00:00Z"),
        copied_run(tmp_path / "0bf16", value=0.5, numerics=BF16),
        copied_run(tmp_path / "0cuda", value=0.6, numerics=CUDA),
        copied_run(tmp_path / "1", value=0.98, seed=1),
    ]
    found = measure_claim(CLAIM, runs)
    assert found is not None
    assert found.values == (0.97, 0.98)
    assert found.left_out == ("1 run on cpu in bf16", "1 run on cuda in fp32")


def test_constant_predictions_of_a_training_are_found_in_its_record(tmp_path: Path) -> None:
    good, collapsed = copied_run(tmp_path / "0"), copied_run(tmp_path / "1", seed=1)
    arrays = dict(read_predictions(collapsed[0], collapsed[1].results[0]))
    arrays["predictions"] = np.full_like(arrays["predictions"], 3)
    np.savez(collapsed[0].parent / "predictions-test.npz", **arrays)
    found = measure_claim(CLAIM, [good, collapsed])
    assert found is not None
    assert (found.constant, found.above_baseline) == ((False, True), (False, False))


def test_near_ties_are_counted_by_the_noise_of_both_precisions() -> None:
    path = run_of("digits-resnet8", "weights")
    run, claim = (
        (path, read_record(path)),
        next(c for c in catalogue.select_one("digits-resnet8").recipe.claims if c.of == "weights"),
    )
    logits = read_predictions(path, run[1].results[0])["logits"].astype(np.float64)
    top = np.sort(logits, axis=1)
    for precision, noise in (("fp32", 1e-4), ("bf16", 0.165)):
        found = measure_claim(replace(claim, precision=precision), [run])
        assert found is not None
        assert found.near_ties == int(np.sum(top[:, -1] - top[:, -2] <= 2 * noise))


def test_an_entry_gets_the_same_judgement_alone_and_with_others() -> None:
    names = ("digits-resnet8", "digits-resnet14")
    runs = {
        name: tuple(
            (path, read_record(path)) for path in sorted((EVIDENCE / name).glob("retrain-seed[0-9]-*/record.json"))
        )
        for name in names
    }
    ran = [EntryRuns(entry=catalogue.select_one(name), mode="retrain", runs=runs[name]) for name in names]
    together = judge_entries(ran, EVIDENCE)
    assert [judge_entries([runs_of_entry], EVIDENCE)[0].judgements for runs_of_entry in ran] == [
        outcome.judgements for outcome in together
    ]
    assert [outcome.entry.name for outcome in together] == list(names)


def without_scores(result: Result) -> Result:
    """Return a result whose scores are undefined."""
    return replace(result, metrics={name: {"value": None, "one_prediction": None} for name in result.metrics})


def key_of(data: dict[str, Any]) -> str:
    """Return the key that belongs to the content of a record."""
    names = ("mode", "digest", "sources", "metric_code", "numerics", "seed")
    return Identity(**{name: data[name] for name in names}).key


def test_runs_with_seeds_of_the_reference_judge_nothing() -> None:
    """Runs of `--first-seed 1000` are reference runs, so they cannot confirm their own mean."""
    entry = catalogue.select_one("digits-resnet8")
    paths = sorted((EVIDENCE / entry.name).glob("retrain-seed1???-*/record.json"))
    runs = tuple((path, read_record(path)) for path in paths)
    (outcome,) = judge_entries([EntryRuns(entry=entry, mode="retrain", runs=runs)], EVIDENCE)
    assert (len(runs), outcome.verdict, len(outcome.records)) == (10, "not-compared", 10)
    assert "Claims are made from such reference runs" in outcome.judgements[1].why


def test_damaged_committed_predictions_are_an_integrity_error(tmp_path: Path) -> None:
    shutil.copytree(EVIDENCE / "digits-resnet8", tmp_path / "digits-resnet8")
    for path in tmp_path.glob("*/retrain-seed1000-*/predictions-test.npz"):
        path.write_bytes(b"other")
    entry, path = catalogue.select_one("digits-resnet8"), run_of("digits-resnet8", "weights")
    (outcome,) = judge_entries([EntryRuns(entry=entry, mode="weights", runs=((path, read_record(path)),))], tmp_path)
    assert isinstance(outcome.error, IntegrityError)
    assert outcome.verdict == "not-run"


def test_earlier_runs_of_the_other_mode_neither_fail_the_entry_nor_take_its_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.judging.measure.rows_not_finite", lambda arrays: 3)
    entry, path = catalogue.select_one("digits-resnet8"), run_of("digits-resnet8", "weights")
    trainings = sorted((EVIDENCE / entry.name).glob("retrain-seed[0-9]-*/record.json"))
    trained = tuple((training, read_record(training)) for training in trainings)
    evaluated = (path, read_record(path))
    missing = ((tmp_path / "record.json", evaluated[1]),)
    failed = replace(evaluated[1], results=tuple(without_scores(result) for result in evaluated[1].results))
    for other, why in [(missing, ".*predictions-test.npz"), (((path, failed),), ".*NaN or infinite")]:
        earlier = EntryRuns(entry=entry, mode="weights", runs=other)
        alone, both = (
            judge_entries([EntryRuns(entry=entry, mode="retrain", runs=trained, other_mode=found)], EVIDENCE)[0]
            for found in (None, earlier)
        )
        (of_weights,) = (judgement for judgement in both.judgements if judgement.claim.of == "weights")
        assert re.match(f"From earlier runs: {why}", of_weights.why)
        assert of_weights.failed == (other is not missing)
        assert (both.verdict, both.error, both.failed) == (alone.verdict, None, False)


def test_verify_exits_with_5_and_names_the_damaged_file(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(EVIDENCE / "digits-resnet8", tmp_path / "evidence" / "digits-resnet8")
    for path in (tmp_path / "evidence").glob("*/retrain-seed1000-*/predictions-test.npz"):
        path.write_bytes(b"other")
    monkeypatch.setattr(paths, "evidence", lambda: tmp_path / "evidence")
    completed = zoo("verify", "digits-resnet8")
    assert (completed.code, len(completed.lines)) == (5, 1)
    assert "predictions-test.npz: expected sha256" in completed.err


def test_an_entry_with_only_reported_claims_does_not_count_for_the_exit_code() -> None:
    entry = catalogue.select_one("minilm-l6-wnli")
    (outcome,) = judge_entries([EntryRuns(entry=entry, mode="retrain", runs=())], EVIDENCE)
    assert not outcome.counts
    assert judge_entries([EntryRuns(entry=catalogue.select_one("digits-resnet8"), mode="retrain")], EVIDENCE)[0].counts


def test_the_baseline_of_degenerate_runs_comes_from_the_labels_of_the_record(tmp_path: Path) -> None:
    runs = [copied_run(tmp_path / "0", value=0.05), copied_run(tmp_path / "1", value=0.97, seed=1)]
    found = measure_claim(CLAIM, runs)
    assert found is not None
    labels = read_predictions(runs[0][0], runs[0][1].results[0])["labels"]
    assert found.baseline == pytest.approx(np.bincount(labels).max() / 898)
    assert found.values == (0.05, 0.97)


def test_an_entry_without_runs_repeats_the_error_on_one_line() -> None:
    entry = catalogue.select_one("digits-resnet8")
    (outcome,) = judge_entries(
        [EntryRuns(entry=entry, mode="weights", error=SourceError("the Hub\nis down"))], EVIDENCE
    )
    assert (outcome.verdict, {judgement.why for judgement in outcome.judgements}) == ("not-run", {"the Hub is down"})


def test_an_undefined_score_is_nan() -> None:
    entry, path = catalogue.select_one("digits-resnet8"), run_of("digits-resnet8", "weights")
    record = copy.deepcopy(read_record(path))
    record.results[0].metrics["accuracy"]["value"] = None  # type: ignore[index]
    claim = next(c for c in entry.recipe.claims if c.of == "weights")
    found = measure_claim(claim, [(path, record)])
    assert found is not None
    assert math.isnan(found.values[0])
