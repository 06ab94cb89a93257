"""Logs of lm-evaluation-harness."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.imported_logs.lm_eval import read_log
from harness.imported_logs.types import DOCUMENT, TASK
from tests.helpers.tool_logs import DATE, RIGHT, lm_eval_sample, write_lm_eval
from zoo.errors import SourceError, UsageError


def test_a_log_has_the_score_of_each_sample_by_each_metric(tmp_path: Path) -> None:
    log = read_log(write_lm_eval(tmp_path), DOCUMENT)
    assert [(scores.split, scores.mean, scores.reported) for scores in log.scores] == [
        ("boolq/acc", 0.75, 0.75), ("boolq/acc_norm", 1.0, 1.0),
    ]  # fmt: skip
    assert tuple(sample.score for sample in log.scores[0].samples) == RIGHT
    assert (log.tool, log.version, log.model, log.revision) == ("lm-eval", "0.4.13", "EleutherAI/pythia-14m", "a" * 40)
    assert (log.precision, log.device, log.seconds) == ("float32", "cuda:0", 12.5)
    assert log.data_sets == {"boolq": "google/boolq"}
    assert not log.findings


@pytest.mark.parametrize("name", [f"results_{DATE}.json", f"samples_boolq_{DATE}.jsonl"])
def test_a_log_can_be_named_by_each_of_its_files(name: str, tmp_path: Path) -> None:
    assert len(read_log(write_lm_eval(tmp_path) / name, DOCUMENT).scores) == 2


def test_samples_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    lines = [lm_eval_sample(number, number % 2) for number in (11, 2, 0, 1)]
    log = read_log(write_lm_eval(tmp_path, {"t": (0.0, 0.0, 1.0, 1.0)}, samples=lines), DOCUMENT)
    assert [sample.document for sample in log.scores[0].samples] == ["0", "1", "2", "11"]


def test_each_filter_is_a_score_of_its_own(tmp_path: Path) -> None:
    lines = [
        lm_eval_sample(number, 0.0, filter=name, metrics=["exact_match"], exact_match=float(name == "flexible"))
        for name in ("strict", "flexible")
        for number in range(3)
    ]
    results = {"gsm8k": {"exact_match,strict": 0.0, "exact_match,flexible": 1.0}}
    log = read_log(write_lm_eval(tmp_path, {"gsm8k": (0.0,)}, samples=lines, results=results), DOCUMENT)
    assert [(scores.metric, scores.mean) for scores in log.scores] == [
        ("exact_match,strict", 0.0), ("exact_match,flexible", 1.0),
    ]  # fmt: skip


def test_tasks_of_a_group_are_also_joined(tmp_path: Path) -> None:
    rights = {"mmlu_a": RIGHT, "mmlu_b": (0.0, 0.0)}
    log = read_log(write_lm_eval(tmp_path, rights, group_subtasks={"mmlu": ["mmlu_a", "mmlu_b"]}), TASK)
    joined = next(scores for scores in log.scores if scores.split == "mmlu/acc")
    assert (joined.mean, len(joined.samples)) == (0.5, 6)
    assert [sample.group for sample in joined.samples] == ["mmlu_a"] * 4 + ["mmlu_b"] * 2


def test_groups_of_groups_are_joined_and_compared_with_the_log(tmp_path: Path) -> None:
    rights = {"stem_a": RIGHT, "stem_b": (0.0, 0.0), "law": (1.0, 1.0)}
    nested = {"mmlu": ["mmlu_stem", "law"], "mmlu_stem": ["stem_a", "stem_b"], "loop": ["loop", "law"]}
    nested |= {f"deep{level}": [f"deep{level + 1}"] * 2 for level in range(100)}
    stated = {"mmlu": {"acc,none": 0.625}, "mmlu_stem": {"acc,none": 0.375}}
    log = read_log(write_lm_eval(tmp_path, rights, group_subtasks=nested, groups=stated), DOCUMENT)
    found = {scores.task: (scores.mean, scores.reported) for scores in log.scores if scores.metric == "acc"}
    assert (found["mmlu"], "mmlu_stem" in found, "loop" in found) == ((0.625, 0.625), False, False)
    assert log.findings == (
        "mmlu_stem/acc is left out: the log states 0.375, which is not the mean of the samples, 0.5; the tool"
        " aggregates it in another way",
    )


def test_samples_can_be_grouped_by_a_field(tmp_path: Path) -> None:
    log = read_log(write_lm_eval(tmp_path), "passage")
    groups = [sample.group for sample in log.scores[0].samples]
    assert groups[0] == groups[1] != groups[2] == groups[3]
    with pytest.raises(UsageError, match="no field 'topic' to group by; known: document, task, query, passage, gold"):
        read_log(tmp_path, "topic")


def test_a_metric_that_is_no_mean_is_left_out(tmp_path: Path) -> None:
    results = {"boolq": {"acc,none": 0.75, "acc_norm,none": 0.4}}
    log = read_log(write_lm_eval(tmp_path, results=results), DOCUMENT)
    assert [scores.metric for scores in log.scores] == ["acc"]
    assert log.findings == (
        "boolq/acc_norm is left out: the log states 0.4, which is not the mean of the samples, 1; the tool aggregates"
        " it in another way",
    )


@pytest.mark.parametrize("value", [[1.0, 2.0], "x", None, float("nan"), float("inf"), 10**400])
def test_a_metric_without_numbers_is_left_out(value: Any, tmp_path: Path) -> None:
    lines = [lm_eval_sample(number, 1.0, acc_norm=value if number == 1 else 1.0) for number in range(4)]
    log = read_log(write_lm_eval(tmp_path, {"t": (1.0,) * 4}, samples=lines), DOCUMENT)
    assert [scores.metric for scores in log.scores] == ["acc"]
    assert "t/acc_norm is left out: the sample '1' has no number but" in log.findings[0]


def test_without_results_the_model_is_unknown_and_nothing_is_compared(tmp_path: Path) -> None:
    (write_lm_eval(tmp_path) / f"results_{DATE}.json").unlink()
    log = read_log(tmp_path, DOCUMENT)
    assert (log.model, log.version) == ("unknown", "unknown")
    assert log.findings == ("the log states no scores of whole tasks, so the means of its samples were not compared",)


BAD: dict[str, tuple[str, str]] = {
    "no JSON": ("{", ":1: not JSON"),
    "no object": ("[1]\n", ":1: not a JSON object"),
    "no sample": ('{"a": 1}\n', "no sample of lm-evaluation-harness"),
    "too deep": ('{"a": ' + "[" * 200_000 + "\n", ":1: not JSON: nested too deeply"),
    "nothing": ("", "no score of samples can be used"),
    "twice": (f"{json.dumps(lm_eval_sample(3, 1.0))}\n" * 2, "boolq, acc: the sample '3 0' occurs twice"),
    "control characters": ('{"\x1b[2J": 1}\n', ":1: not JSON"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_damaged_log_is_one_plain_line(what: str, tmp_path: Path) -> None:
    content, words = BAD[what]
    (write_lm_eval(tmp_path) / f"samples_boolq_{DATE}.jsonl").write_text(content)
    with pytest.raises(UsageError) as caught:
        read_log(tmp_path, DOCUMENT)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert "\x1b" not in str(caught.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (write_lm_eval(tmp_path) / f"samples_boolq_{DATE}.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(UsageError, match="not text in UTF-8"):
        read_log(tmp_path, DOCUMENT)


def test_two_runs_in_a_folder_are_not_mixed(tmp_path: Path) -> None:
    other = f"samples_boolq_{DATE.replace('2026', '2025')}.jsonl"
    (write_lm_eval(tmp_path) / other).write_text("{}\n")
    with pytest.raises(UsageError, match=r"2 runs; name the file results_DATE\.json of one"):
        read_log(tmp_path, DOCUMENT)
    assert read_log(tmp_path / f"results_{DATE}.json", DOCUMENT).scores


@pytest.mark.parametrize("name", ["none", "none.jsonl"])
def test_a_missing_log_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises((UsageError, SourceError), match="none"):
        read_log(tmp_path / name, DOCUMENT)
