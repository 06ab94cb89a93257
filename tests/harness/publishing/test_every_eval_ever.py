"""Records of Every Eval Ever, checked by its own validator."""

import hashlib
import json
from pathlib import Path

import pytest

from harness.publishing.every_eval_ever import files_of
from harness.publishing.scores import published_scores
from harness.runs.judged_runs import judged_runs
from tests.helpers.project import ROOT

RECORDS = ROOT / "leaderboard" / "records"
RUNS = {
    "digits-resnet8": "weights", "minilm-l6-mrpc": "retrain-seed1000", "minilm-l6-stsb": "retrain-seed1000",
    "akamaster-resnet20-cifar10": "weights",
}  # fmt: skip


def record_of(entry: str) -> Path:
    (file,) = (RECORDS / entry).glob(f"{RUNS[entry]}*/record.json")
    return file


def files(entry: str) -> dict[str, str]:
    file = record_of(entry)
    return files_of(file, published_scores(judged_runs([file], None, folder=RECORDS, evidence=RECORDS)))


def test_a_record_has_a_line_for_each_example() -> None:
    written = files("digits-resnet8")
    (path,) = [name for name in written if name.endswith(".json")]
    record, samples = json.loads(written[path]), written[path.removesuffix(".json") + "_samples.jsonl"]
    details = record["detailed_evaluation_results"]
    assert (details["total_rows"], len(samples.splitlines())) == (898, 898)
    assert details["checksum"] == hashlib.sha256(samples.encode()).hexdigest()
    right = sum(json.loads(line)["evaluation"]["is_correct"] for line in samples.splitlines())
    assert right == 879
    assert record["evaluation_results"][0]["score_details"]["details"]["verdict"] == "reproduced"


def test_publishing_again_writes_the_same_files() -> None:
    assert files("minilm-l6-mrpc") == files("minilm-l6-mrpc")


def test_a_regression_has_no_lines() -> None:
    assert [name[-5:] for name in files("minilm-l6-stsb")] == [".json"]


@pytest.mark.parametrize("entry", RUNS)
def test_the_validator_accepts_every_file(entry: str, tmp_path: Path) -> None:
    validation = pytest.importorskip("every_eval_ever.validator.validation_core")
    written = files(entry)
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in written:
        report = validation.validate_file(
            tmp_path / name, repo_path=name, available_files=set(written), read_repo_file=written.__getitem__,
            run_semantic_checks=True,
        )  # fmt: skip
        assert (report.valid, report.errors, report.warnings) == (True, [], [])
