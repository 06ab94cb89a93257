"""Logs of lighteval."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.imported_logs.lighteval import read_log
from harness.imported_logs.types import DOCUMENT
from tests.helpers.tool_logs import DATE, RIGHT, write_lighteval
from zoo.errors import SourceError, UsageError


def test_a_log_has_the_score_of_each_sample(tmp_path: Path) -> None:
    log = read_log(write_lighteval(tmp_path), DOCUMENT)
    (scores,) = log.scores
    assert (scores.split, scores.mean, scores.reported) == ("arc:easy|0/acc", 0.75, 0.75)
    assert tuple(sample.score for sample in scores.samples) == RIGHT
    assert (log.tool, log.model, log.precision, log.revision) == ("lighteval", "someone/tiny", "bfloat16", "main")
    assert (log.data_sets, log.seconds) == ({"arc:easy|0": "allenai/ai2_arc"}, 3.5)


@pytest.mark.parametrize(
    "name",
    [f"details/someone/tiny/{DATE}/details_arc:easy|0_{DATE}.parquet", f"results/someone/tiny/results_{DATE}.json"],
)
def test_a_log_can_be_named_by_each_of_its_files(name: str, tmp_path: Path) -> None:
    write_lighteval(tmp_path)
    assert read_log(tmp_path / name, DOCUMENT).scores[0].reported == 0.75


def test_scores_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    log = read_log(write_lighteval(tmp_path, passed=[[1, 0]] * 4), DOCUMENT)
    assert [scores.metric for scores in log.scores] == ["acc"]
    assert "arc:easy|0/passed is left out: the sample '0' has no number but [1, 0]" in log.findings[0]


def test_a_metric_that_some_samples_lack_is_left_out(tmp_path: Path) -> None:
    log = read_log(write_lighteval(tmp_path, em=[1.0, None, 1.0, 0.0]), DOCUMENT)
    assert log.findings == ("arc:easy|0/em is left out: only 3 of 4 samples have it",)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    file = next(write_lighteval(tmp_path).iterdir())
    file.write_bytes(b"PAR1 no")
    with pytest.raises(UsageError, match="cannot be read as parquet"):
        read_log(file, DOCUMENT)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    file = next(write_lighteval(tmp_path).iterdir())
    pq.write_table(pa.table({"a": [1, 2]}), file)
    with pytest.raises(UsageError, match=r"row 0: no details of lighteval"):
        read_log(file, DOCUMENT)


def test_a_small_file_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_VALUES", "1000")
    file = next(write_lighteval(tmp_path).iterdir())
    pq.write_table(pa.table({"doc": [None] * 1_000_000, "metric": [None] * 1_000_000}), file)
    with pytest.raises(SourceError, match="could fill the memory"):
        read_log(file, DOCUMENT)


def test_a_folder_without_details_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run lighteval with --save-details"):
        read_log(tmp_path, DOCUMENT)
