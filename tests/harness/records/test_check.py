"""A record that says something else than its files is refused, wherever it is read to be reported."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import metrics
from harness.records.arrays import read_arrays
from harness.records.check import faults, problems, verify_all, verify_record, verify_together
from harness.records.contradictions import contradiction
from harness.records.find_runs import read_all
from harness.records.record import FILE, RecordedRun, read_record
from leaderboard import page, promotion
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.errors import IntegrityError, UsageError
from zoo.fetch.checksum import sha256
from zoo.recipes.catalogue import entries

EVIDENCE = ROOT / "leaderboard" / "records"
ENTRY = "digits-resnet8"
COMMITTED = read_record(next(EVIDENCE.glob(f"{ENTRY}/weights-*/{FILE}")))
Arrays = dict[str, np.ndarray[Any, Any]]


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    shutil.copytree(EVIDENCE / ENTRY, tmp_path / "records" / ENTRY)
    return tmp_path / "records"


def edit(path: Path, change: Any) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def edit_arrays(path: Path, change: Callable[[Arrays], Arrays], **scores: float) -> None:
    """Change the predictions beside a record, and the digest of the file and the scores in the record."""
    file = next(path.parent.glob("*.npz"))
    with np.load(file) as arrays:
        changed = change(dict(arrays))
    np.savez_compressed(file, **changed)
    edit(path, lambda data: data["results"][0]["predictions"].update(sha256=sha256(file)))
    edit(path, lambda data: set_score(data, **scores))


def set_score(data: dict[str, Any], **values: float | None) -> None:
    data["results"][0]["metrics"]["accuracy"] |= values


@pytest.mark.parametrize("change", [{"value": 0.9999}, {"value": None}, {"one_prediction": 0.5}])
def test_a_changed_score_is_refused_by_the_leaderboard_and_when_a_run_is_added(
    evidence: Path, tmp_path: Path, change: dict[str, float | None]
) -> None:
    for path, record in read_all(evidence):
        verify_record(path, record)
    path = next(evidence.glob(f"{ENTRY}/weights-*/{FILE}"))
    edit(path, lambda data: set_score(data, **change))
    with pytest.raises(IntegrityError, match=r"accuracy on 'test'.*: recorded .*, but the predictions beside it give"):
        page.render(evidence, entries())
    with pytest.raises(IntegrityError, match="but the predictions beside it give"):
        list(promotion.promote([str(path)], evidence, tmp_path / "other"))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("change", [-1e-6, 1e-6, 1e-4])
def test_a_correlation_of_single_precision_may_differ_by_its_rounding_only(change: float) -> None:
    (path,) = EVIDENCE.glob(f"minilm-l3-stsb_from_minilm-l6-stsb/retrain-seed1001-*/{FILE}")
    record = read_record(path)
    arrays = read_arrays(path.parent / record.results[0].predictions["file"])
    exact = metrics.pearson(arrays["predictions"].astype(np.float64), arrays["labels"].astype(np.float64))
    scores = {**record.results[0].metrics, "pearson": {"value": exact + change, "one_prediction": 5e-4}}
    found = list(problems(record, replace(record.results[0], metrics=scores), arrays))
    assert [problem.partition(":")[0] for problem in found] == ["pearson on 'validation'"] * (change > 1e-5)


def test_a_changed_number_of_examples_is_refused(evidence: Path) -> None:
    path = next(evidence.glob(f"{ENTRY}/weights-*/{FILE}"))
    edit(path, lambda data: data["results"][0].update(n=10_000))
    with pytest.raises(IntegrityError, match="recorded 10,000 examples, but 898 were predicted"):
        verify_record(path, read_record(path))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda a: a | {"predictions": a["labels"]}, r"test: \d+ predictions differ from the logits beside them"),
        (lambda a: {name: a[name] for name in ("predictions", "logits")}, "the predictions beside it lack 'labels'"),
        (lambda a: a | {"logits": a["logits"] * np.nan}, "but the predictions beside it give nan"),
        (lambda a: {name: array[:10] for name, array in a.items()}, "recorded 898 examples, but 10 were predicted"),
        (lambda a: a | {"ranked": a["labels"][:, None]}, r"test: \d+ rows of 'ranked' differ from the outputs"),
        (lambda a: a | {"labels": a["predictions"]}, "the predictions have different labels for the same rows"),
    ],
)
def test_changed_predictions_are_refused_also_if_digest_and_score_were_changed_too(
    evidence: Path, tmp_path: Path, change: Callable[[Arrays], Arrays], problem: str
) -> None:
    path = next(evidence.glob(f"{ENTRY}/weights-*/{FILE}"))
    edit_arrays(path, change, value=1.0)
    with pytest.raises(IntegrityError, match=problem):
        verify_all(evidence)
    with pytest.raises(IntegrityError, match=problem):
        list(promotion.promote([str(path)], tmp_path, EVIDENCE))


def segmented(folder: Path, confusion: np.ndarray[Any, Any], **packages: str) -> RecordedRun:
    """Write the predictions of a segmentation, and return a record of them that was made with these packages."""
    folder.mkdir()
    np.savez(folder / "masks.npz", confusion=confusion)
    stored = {"file": "masks.npz", "sha256": sha256(folder / "masks.npz")}
    identity = replace(COMMITTED.identity, sources={"data": {"test": {"rows": 2, "sha256": "0"}}})
    result = replace(COMMITTED.results[0], n=2, metrics={}, predictions=stored)
    environment = {**COMMITTED.environment, "packages": packages}
    record = replace(COMMITTED, identity=identity, results=(result,), environment=environment)
    return folder / FILE, record.sealed({})


def test_edited_masks_are_refused_and_those_of_another_version_are_not(tmp_path: Path) -> None:
    counts = np.arange(8, dtype=np.int32).reshape(2, 2, 2)
    first = segmented(tmp_path / "first", counts, torchvision="1")
    other_outputs = segmented(tmp_path / "outputs", counts[:, :, ::-1], torchvision="1")
    other_version = segmented(tmp_path / "version", counts + 1, torchvision="2")
    verify_together([first, other_outputs, other_version])
    edited = segmented(tmp_path / "edited", counts + 1, torchvision="1")
    with pytest.raises(IntegrityError, match="the predictions have different labels for the same rows"):
        verify_together([first, edited])
    assert [path for path, _ in faults([first, other_version, edited])] == [first[0], edited[0]]


def test_of_runs_with_other_labels_only_the_minority_is_damaged(tmp_path: Path) -> None:
    counts = np.arange(8, dtype=np.int32).reshape(2, 2, 2)
    wrong, *right = (segmented(tmp_path / name, counts + (name == "wrong")) for name in ("wrong", "first", "second"))
    right[1] = (right[1][0], replace(right[1][1], entry="other"))
    ((path, error),) = faults([wrong, right[0], (right[1][0], right[1][1].sealed({}))])
    assert path == wrong[0]
    assert f"{right[0][0]} and {wrong[0]}: the predictions have different labels" in str(error)


def test_predictions_follow_from_logits_for_every_kind_of_task() -> None:
    logits = np.array([[2.0, 1.0], [-1.0, -1.0], [np.inf, 0.0]], np.float32)
    assert not contradiction({"predictions": np.array([0, 1, 1]), "logits": logits})  # a tie, and no finite output
    assert contradiction({"predictions": np.array([1, 0, 0]), "logits": logits}).startswith("1 predictions")
    assert contradiction({"predictions": np.array([2, -1, 0]), "logits": logits}).startswith("2 predictions")
    several = {"predictions": np.array([[1, 1], [0, 0]]), "logits": logits[:2]}
    assert not contradiction(several)
    assert contradiction({**several, "predictions": 1 - several["predictions"]}).startswith("2 predictions")
    numbers = {"predictions": logits[:2, 0], "logits": logits[:2, :1]}
    assert not contradiction(numbers)
    assert contradiction({**numbers, "predictions": logits[:2, 1]}).startswith("1 predictions")
    ranks = {"predictions": np.array([0, 1]), "margins": np.array([0.5, 0.0]), "ranked": np.array([[0, 1], [0, 1]])}
    assert not contradiction(ranks)
    assert contradiction({**ranks, "ranked": 1 - ranks["ranked"]}).startswith("1 rows of 'ranked' differ")


def test_metrics_of_libraries_are_computed_again_and_foreign_ones_are_not() -> None:
    metrics = ({"use": "sklearn.metrics.f1_score", "average": "macro"}, {"use": "mine.score"})
    record = replace(COMMITTED, recipe={**COMMITTED.recipe, "metrics": metrics})
    arrays = {"predictions": np.array([0, 1, 1]), "labels": np.array([0, 1, 0])}
    scores = {name: {"value": 0.5, "one_prediction": 0.1} for name in ("f1_score", "score", "accuracy", "f1")}
    result = replace(record.results[0], n=3, metrics=scores)
    identity = replace(record.identity, sources={"data": {}})
    found = list(problems(replace(record, identity=identity), result, arrays))
    assert [text.partition(" on ")[0] for text in found] == ["f1_score", "f1_score", "accuracy", "f1"]
    assert "recorded 0.5, but the predictions beside it give 0.666667" in found[0]
    assert "recorded 0.5, but the recipe has no such metric" in found[2]


def test_a_record_names_the_digests_of_its_files_and_itself(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(TINY), "--out", "mine").code == 0
    path = Path("mine", FILE)
    data = json.loads(path.read_text())
    assert {"log.jsonl", "model.safetensors", "predictions-test.npz", "recipe.yaml"} <= set(data["files"])
    content = json.dumps({name: value for name, value in data.items() if name != "record_sha256"}, sort_keys=True)
    compact = json.dumps(json.loads(content), sort_keys=True, separators=(",", ":"))
    assert data["record_sha256"] == hashlib.sha256(compact.encode()).hexdigest()
    record = read_record(path)
    verify_record(path, record)
    Path("mine", "log.jsonl").write_text("{}")
    with pytest.raises(IntegrityError, match=r"log\.jsonl: expected sha256"):
        verify_record(path, record)
    Path("mine", "log.jsonl").unlink()  # committed records leave it out
    verify_record(path, record)
    for field in ("cost", "environment", "weights", "created", "recipe", "results", "files"):
        path.write_text(json.dumps({**data, field: getattr(COMMITTED, field)}, default=asdict))
        with pytest.raises(IntegrityError, match="the record was changed after the run"):
            read_record(path)
    del data["record_sha256"], data["files"], data["results_sha256"]
    path.write_text(json.dumps(data))
    with pytest.raises(IntegrityError, match="the record has no record_sha256"):
        list(promotion.promote(["mine"], Path(), EVIDENCE))


def test_a_changed_score_in_a_finished_run_is_not_reported_as_measured(zoo: Zoo) -> None:
    completed = zoo("reproduce", ENTRY, "--json")
    (path,) = json.loads(completed.out)["entries"][0]["records"]
    edit(Path(path), lambda data: set_score(data, value=0.5))
    completed = zoo("verify", ENTRY, "--json")
    assert completed.code == 5
    assert "the record was changed after the run" in completed.err
    assert zoo("verify", ENTRY, "--fresh").code == 0


def test_a_record_of_version_0_1_is_added_with_a_remark_if_its_recipe_is_shipped(
    tmp_path: Path,
) -> None:
    path = next(EVIDENCE.glob(f"{ENTRY}/weights-*/{FILE}"))
    (promoted,) = promotion.promote([str(path)], tmp_path, tmp_path / "committed")
    assert (promoted.is_new, promoted.lacks_digests) == (True, True)
    shutil.copytree(path.parent, tmp_path / "other")
    edit(tmp_path / "other" / FILE, lambda data: data.update(entry="digits-resnet14"))
    with pytest.raises(UsageError, match="made with another recipe than the shipped one of digits-resnet14"):
        list(promotion.promote([str(tmp_path / "other")], tmp_path, tmp_path / "committed"))
