"""A record that says something else than its files is refused, wherever it is read to be reported."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.records.check import verify_record
from harness.records.record import FILE, read_all, read_record
from leaderboard import page
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.errors import IntegrityError
from zoo.fetch.checksum import sha256

EVIDENCE = ROOT / "leaderboard" / "records"
ENTRY = "digits-resnet8"


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    shutil.copytree(EVIDENCE / ENTRY, tmp_path / "records" / ENTRY)
    return tmp_path / "records"


def edit(path: Path, change: Any) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


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
        page.render(evidence)
    with pytest.raises(IntegrityError, match="but the predictions beside it give"):
        page.promote(str(path), evidence, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_changed_number_of_examples_is_refused(evidence: Path) -> None:
    path = next(evidence.glob(f"{ENTRY}/weights-*/{FILE}"))
    edit(path, lambda data: data["results"][0].update(n=10_000))
    with pytest.raises(IntegrityError, match="recorded 10,000 examples, but 898 were predicted"):
        verify_record(path, read_record(path))


def test_a_new_record_names_the_digests_of_its_files_and_results(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(TINY), "--out", "mine").code == 0
    path = Path("mine", FILE)
    data = json.loads(path.read_text())
    assert {"log.jsonl", "model.safetensors", "predictions-test.npz", "recipe.yaml"} <= set(data["files"])
    record = read_record(path)
    verify_record(path, record)
    Path("mine", "log.jsonl").write_text("{}")
    with pytest.raises(IntegrityError, match=r"log\.jsonl: expected sha256"):
        verify_record(path, record)
    Path("mine", "log.jsonl").unlink()  # committed records leave it out
    verify_record(path, record)
    edit(path, lambda data: data["results"][0].update(selection="best"))
    with pytest.raises(IntegrityError, match="the results are not those that were recorded"):
        verify_record(path, read_record(path))


def test_predictions_that_are_not_finite_may_not_have_a_score(evidence: Path) -> None:
    path = next(evidence.glob(f"{ENTRY}/weights-*/{FILE}"))
    record = read_record(path)
    file = path.parent / record.results[0].predictions["file"]
    with np.load(file) as arrays:
        changed = dict(arrays)
    changed["logits"] = np.full_like(changed["logits"], np.nan)
    np.savez_compressed(file, **changed)
    edit(path, lambda data: data["results"][0]["predictions"].update(sha256=sha256(file)))
    with pytest.raises(IntegrityError, match="but the predictions beside it give nan"):
        verify_record(path, read_record(path))


def test_a_changed_score_in_a_finished_run_is_not_reported_as_measured(zoo: Zoo) -> None:
    completed = zoo("reproduce", ENTRY, "--json")
    (path,) = json.loads(completed.out)["entries"][0]["records"]
    edit(Path(path), lambda data: set_score(data, value=0.5))
    completed = zoo("verify", ENTRY, "--json")
    assert completed.code == 5
    assert "the results are not those that were recorded" in completed.err
    assert zoo("verify", ENTRY, "--fresh").code == 0
