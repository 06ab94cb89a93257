"""The claims in `.eval_results` are read as the Hub's client writes them."""

import pytest
import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from zoo.claims.eval_results import read_eval_results
from zoo.claims.published import PublishedClaim


def test_entries_that_the_client_of_the_hub_writes_are_read() -> None:
    entry = EvalResultEntry(dataset_id="owner/benchmark", task_id="mrpc", value=85.78, source_url="https://example.org")
    data = [{**each, "verifyToken": "x"} for each in eval_result_entries_to_yaml([entry])]
    (claim,) = read_eval_results(yaml.safe_dump(data), "mrpc.yaml").claims
    assert (claim.dataset, claim.config, claim.text, claim.metric) == ("owner/benchmark", "mrpc", "85.78", "")
    assert (claim.source, claim.has_badge) == ("https://example.org", True)


@pytest.mark.parametrize(("task", "metric"), [("sst2", "accuracy"), ("cola", "matthews_correlation"), ("mrpc", "")])
def test_a_value_has_the_metric_of_a_benchmark_with_only_one(task: str, metric: str) -> None:
    text = f"- {{dataset: {{id: nyu-mll/glue, task_id: {task}}}, value: 66.86}}"
    (claim,) = read_eval_results(text, "x.yaml").claims
    assert claim.metric == metric


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- {value: 1}", "x.yaml:1:3: an entry needs 'dataset' with an 'id', and a 'value'"),
        ("- {dataset: {id: a/b}}", "x.yaml:1:3: an entry needs 'dataset' with an 'id', and a 'value'"),
        ("text", "x.yaml:1:1: the file must be a list of entries with 'dataset' and 'value'"),
        ("", "x.yaml:1:1: the file is empty"),
    ],
)
def test_an_entry_that_cannot_be_read_is_a_problem(text: str, problem: str) -> None:
    found = read_eval_results(text, "x.yaml")
    assert [str(each) for each in found.problems] == [problem]
    assert not found.claims


def test_the_notes_of_zoos_own_entries_say_the_split_the_metric_and_the_unit() -> None:
    def claim(notes: str, source: str = "zoo-reproduce") -> PublishedClaim:
        dataset, of = {"id": "nyu-mll/glue", "task_id": "mrpc"}, {"name": source, "url": "https://example.org"}
        text = yaml.safe_dump([{"dataset": dataset, "value": 0.7, "source": of, "notes": notes}])
        (found,) = read_eval_results(text, "mrpc.yaml").claims
        return found

    notes = "percent; split validation; metric f1 (macro); reproduced: f1 (macro) 0.007 (408 examples); fp32"
    found = claim(notes)
    assert (found.metric, found.split, found.text) == ("f1 (macro)", "validation", "0.7 %")
    assert (claim(notes, "another").metric, claim(notes, "another").text) == ("", "0.7")
    assert claim(f"split train; metric accuracy; holdout {{}}; {notes}").metric == ""
