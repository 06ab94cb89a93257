"""Entries of `.eval_results`."""

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from harness.publishing.eval_results import entries_of, file_name, with_entries
from harness.publishing.scores import PublishedScore, only, published_scores
from harness.runs.judged_runs import judged_runs
from tests.helpers.project import ROOT
from zoo.claims.eval_results import read_eval_results
from zoo.errors import UsageError

RECORDS = ROOT / "leaderboard" / "records"
URL = "https://example.org/record"
OTHERS = "# by hand\n- {dataset: {id: nyu-mll/glue, task_id: mrpc}, value: 99.0, date: '2026-01-01'}\n"


def scores_of(entry: str, pattern: str) -> tuple[PublishedScore, ...]:
    (file,) = (RECORDS / entry).glob(f"{pattern}*/record.json")
    return published_scores(judged_runs([file], None, folder=RECORDS, evidence=RECORDS))


MRPC = scores_of("minilm-l6-mrpc", "retrain-seed1000")


def test_the_hubs_client_reads_an_entry() -> None:
    (entry,) = parse_eval_result_entries(yaml.safe_load(with_entries("", entries_of(MRPC, URL), "x.yaml")))
    assert (entry.dataset_id, entry.task_id, entry.source_name) == ("nyu-mll/glue", "mrpc", "zoo-reproduce")
    assert (entry.value, entry.date, entry.source_url) == (76.4706, "2026-11-25", URL)
    assert str(entry.notes).startswith("percent; split validation; metric accuracy; not-compared: accuracy 0.764706")
    assert file_name(MRPC) == ".eval_results/zoo-glue-mrpc.yaml"


def test_zoo_reads_its_own_entry() -> None:
    (claim,) = read_eval_results(with_entries("", entries_of(MRPC, URL), "x.yaml"), "x.yaml").claims
    assert (claim.metric, claim.split, claim.config, claim.text) == ("accuracy", "validation", "mrpc", "76.4706 %")


def test_one_metric_can_be_chosen() -> None:
    (entry,) = entries_of(only(MRPC, None, "f1"), URL)
    assert "f1 0.8" in entry["notes"]
    with pytest.raises(UsageError, match="no such score; it has accuracy on validation, f1 on validation"):
        only(MRPC, "test", None)


def test_a_correlation_is_no_percentage() -> None:
    (entry,) = entries_of(scores_of("minilm-l6-stsb", "retrain-seed1000"), URL)
    assert 0.5 < entry["value"] < 1


def test_entries_of_others_and_their_lines_are_kept() -> None:
    once = with_entries(OTHERS, entries_of(MRPC, URL), "x.yaml")
    assert once.startswith(OTHERS)
    assert with_entries(once, entries_of(MRPC, URL), "x.yaml") == once
    newer = with_entries(once, entries_of(scores_of("minilm-l6-mrpc", "retrain-seed1001"), URL), "x.yaml")
    assert len(yaml.safe_load(newer)) == 2
    assert "seed 1000" not in newer


def test_publishing_again_replaces_entries_in_one_line() -> None:
    entries = entries_of(MRPC, URL)
    once = with_entries(yaml.safe_dump(entries, default_flow_style=True), entries, "x.yaml")
    assert yaml.safe_load(once) == entries


@pytest.mark.parametrize("text", ["a: 1", "- [", "text"])
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^x\.yaml: "):
        with_entries(text, entries_of(MRPC, URL), "x.yaml")


def test_a_data_set_that_is_not_on_the_hub_is_refused() -> None:
    with pytest.raises(UsageError, match="'digits' is not on the Hub"):
        entries_of(scores_of("digits-resnet8", "weights"), URL)


def test_a_failed_run_is_not_published() -> None:
    (file,) = (RECORDS / "digits-resnet8").glob("weights*/record.json")
    judged = judged_runs([file], None, folder=RECORDS, evidence=RECORDS)
    failed = replace(judged, runs=((file, replace(judged.record, failure="outputs are NaN")),))
    with pytest.raises(UsageError, match="the scores of this run mean nothing: outputs are NaN"):
        published_scores(failed)


def test_scores_of_chosen_rows_are_published_as_such_and_not_read_as_those_of_the_split() -> None:
    chosen = [
        replace(score, result=replace(score.result, scoring={"rows": "0-99, 200-299", "of": 408})) for score in MRPC
    ]
    (entry,) = entries_of(chosen, URL)
    assert "; rows 408 of 408 rows (0-99, 200-299); metric accuracy; " in entry["notes"]
    both = with_entries(with_entries("", entries_of(MRPC, URL), "x.yaml"), [entry], "x.yaml")
    assert [claim.metric for claim in read_eval_results(both, "x.yaml").claims] == ["accuracy", ""]
    assert chosen[0].facts["rows"] == "408 of 408 rows (0-99, 200-299)"
