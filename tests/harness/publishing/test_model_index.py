"""Results in `model-index`: ours beside the author's, which never change."""

from difflib import ndiff
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from hypothesis import given
from hypothesis import strategies as st

from harness.publishing.model_index import result_blocks, with_results
from harness.publishing.scores import published_scores
from harness.runs.judged_runs import judged_runs
from tests.helpers.project import ROOT
from zoo.errors import UsageError

RECORDS = ROOT / "leaderboard" / "records"
URL = "https://example.org/record"


def blocks_of(entry: str, pattern: str, url: str = URL) -> list[dict[str, Any]]:
    (file,) = (RECORDS / entry).glob(f"{pattern}*/record.json")
    judged = judged_runs([file], None, folder=RECORDS, evidence=RECORDS)
    return result_blocks(published_scores(judged), url)


MRPC = blocks_of("minilm-l6-mrpc", "retrain-seed1000")
DIGITS = blocks_of("digits-resnet8", "weights")
AUTHOR = """\
---
license: mit   # as the base model
model-index:
- name: minilm
  results:
  - task: {type: text-classification, name: Text Classification}
    dataset: {type: glue, name: GLUE MRPC, args: mrpc}       # old style: no split
    metrics:
    - {type: accuracy, name: Accuracy, value: 0.8578431372549019}
    - {type: f1, value: "20.0 ± 1.2"}

# what else there is
tags:
  - a
---
# Minilm

Some text.
"""


def front_of(card: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(card.split("---")[1])
    return data


def test_our_results_stand_behind_those_of_the_author() -> None:
    changed = with_results(AUTHOR, "minilm", MRPC)
    after = changed.splitlines()
    assert not [line for line in ndiff(AUTHOR.splitlines(), after) if line.startswith("- ")]
    results = front_of(changed)["model-index"][0]["results"]
    assert results == [front_of(AUTHOR)["model-index"][0]["results"][0], *MRPC]
    assert after.index("  - task:") < after.index("# what else there is")


def test_our_results_have_a_source_the_verdict_and_the_count() -> None:
    (block,) = DIGITS
    (metric,) = block["metrics"]
    assert block["source"] == {"name": "zoo-reproduce", "url": URL}
    assert (metric["type"], metric["args"]["verdict"], metric["args"]["correct"]) == ("accuracy", "reproduced", 879)


def test_a_verdict_that_is_not_reproduced_is_published_too() -> None:
    (block,) = MRPC
    assert block["metrics"][0]["args"]["verdict"] == "not-compared"
    assert block["dataset"] | {"revision": ""} == {
        "name": "nyu-mll/glue", "type": "nyu-mll/glue", "config": "mrpc", "split": "validation", "revision": "",
    }  # fmt: skip


def test_the_hubs_client_reads_a_changed_card() -> None:
    card = ModelCard(with_results(AUTHOR, "minilm", MRPC))
    assert [result.source_name for result in card.data.eval_results or []] == [None, None] + ["zoo-reproduce"] * 2
    _, results = model_index_to_eval_results(front_of(with_results("", "x", MRPC))["model-index"])
    assert [(result.metric_type, result.dataset_config, result.source_url) for result in results] == [
        ("accuracy", "mrpc", URL), ("f1", "mrpc", URL),
    ]  # fmt: skip


def test_publishing_again_replaces_only_our_own_results() -> None:
    once = with_results(AUTHOR, "minilm", MRPC)
    assert with_results(once, "minilm", MRPC) == once
    newer = with_results(once, "minilm", blocks_of("minilm-l6-mrpc", "retrain-seed1001", "https://example.org/new"))
    assert (newer.count(URL), newer.count("https://example.org/new")) == (0, 1)
    both = with_results(once, "minilm", DIGITS)
    assert both.count(URL) == 2


OTHER_MODELS = """\
---
model-index:
- name: teacher   # by hand
  results: []
- name: student
  results:
  - task: {type: x}
    dataset: {name: z, type: z}
---
"""


def test_a_model_that_is_not_among_several_is_added() -> None:
    changed = with_results(OTHER_MODELS, "minilm", MRPC)
    assert not [line for line in ndiff(OTHER_MODELS.splitlines(), changed.splitlines()) if line.startswith("- ")]
    models = front_of(changed)["model-index"]
    assert models == [*front_of(OTHER_MODELS)["model-index"], {"name": "minilm", "results": MRPC}]
    again = with_results(changed, "student", MRPC)
    assert [len(model["results"]) for model in front_of(again)["model-index"]] == [0, 2, 1]


def test_an_index_of_several_models_is_never_written_anew() -> None:
    with pytest.raises(UsageError, match="the results of model 1 in model-index are no list in lines"):
        with_results(OTHER_MODELS, "teacher", MRPC)


def test_metrics_of_one_run_can_be_published_one_by_one() -> None:
    (block,) = MRPC
    first, second = ([{**block, "metrics": [metric]}] for metric in block["metrics"])
    one_by_one = with_results(with_results(AUTHOR, "minilm", first), "minilm", second)
    assert one_by_one == with_results(AUTHOR, "minilm", MRPC)
    other = blocks_of("minilm-l6-mrpc", "retrain-seed1001")
    assert front_of(with_results(one_by_one, "minilm", other))["model-index"][0]["results"][1:] == other


def test_a_metric_that_an_earlier_version_named_without_its_average_is_replaced() -> None:
    (block,) = MRPC
    named = {**block, "metrics": [{**block["metrics"][1], "name": "f1 (macro)"}]}
    (after,) = front_of(with_results(with_results(AUTHOR, "minilm", MRPC), "minilm", [named]))["model-index"]
    assert [metric["name"] for metric in after["results"][1]["metrics"]] == ["accuracy", "f1 (macro)"]


INDENTED = """\
---
model-index:
  - name: minilm
    results:
      - task:
          type: text-classification
        dataset:
          name: GLUE MRPC
          type: glue
        metrics:
          - type: accuracy
            value: 0.5
license: mit
---
"""
CARDS = {
    "no card": "",
    "no front matter": "# Title\n",
    "no index": "---\nlicense: mit\n---\ntext\n",
    "an empty index": "---\nlicense: mit\nmodel-index:\ntags: [a]\n---\n",
    "an empty list": "---\nmodel-index: []\nlicense: mit\n---\n",
    "no results": "---\nmodel-index:\n- name: minilm\nlicense: mit\n---\n",
    "empty results": "---\nmodel-index:\n- name: minilm\n  results: []\nlicense: mit\n---\n",
    "one line": "---\nmodel-index: [{name: minilm, results: [{task: {type: x}, dataset: {name: z}}]}]\n---\n",
    "indented lists": INDENTED,
    "Windows": AUTHOR.replace("\n", "\r\n"),
    "at the end": AUTHOR.replace("\n# what else there is\ntags:\n  - a", ""),
    "two models": AUTHOR.replace("model-index:\n", "model-index:\n- name: other\n  results: []\n"),
    "a block text": AUTHOR.replace('"20.0 ± 1.2"}', "1}\n    - type: note\n      value: |\n        a\n        b"),
}  # fmt: skip


@pytest.mark.parametrize("what", CARDS)
def test_any_form_of_card_keeps_what_it_has(what: str) -> None:
    card = CARDS[what]
    changed = with_results(card, "minilm", MRPC)
    data, old = front_of(changed), front_of(card) if card.startswith("---") else {}
    models = {model["name"]: model for model in data["model-index"]}
    assert models["minilm"]["results"][-1] == MRPC[0]
    assert {name: value for name, value in data.items() if name != "model-index"} == {
        name: value for name, value in old.items() if name != "model-index"
    }
    assert with_results(changed, "minilm", MRPC) == changed
    assert ("\r\n" in card) == ("\r\n" in changed)
    assert not card.startswith("---") or changed.endswith(card.split("---")[2].lstrip("\r\n"))


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("---\na: [\n---\n", "not valid YAML"),
        ("---\n- a\n---\n", "the front matter is not a mapping"),
        ("---\nmodel-index: text\n---\n", "model-index is not a list of models"),
        ("---\nmodel-index: [a]\n---\n", "model-index is not a list of models"),
        ("---\nmodel-index: [{name: a, results: b}]\n---\n", "the results in model-index are not a list"),
        ("---\n{license: mit}\n---\n", "the front matter is one {...}"),
        (f"---\na: {'x' * 2_100_000}\n---\n", "longer than 2,000,000 characters"),
        (f"---\na: {'[' * 10_000}\n---\n", "not valid YAML"),
    ],
)
def test_a_card_that_cannot_be_read_is_refused_by_name(card: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_results(card, "minilm", MRPC, "README.md")
    assert words in str(caught.value)
    assert str(caught.value).startswith("README.md: ")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.dates()
RESULTS = st.lists(
    st.dictionaries(st.text(max_size=5), SCALARS | st.lists(SCALARS, max_size=2), min_size=1, max_size=3), max_size=3
)


@given(results=RESULTS, style=st.sampled_from([None, False]), rest=st.dictionaries(st.text(max_size=5), SCALARS))
def test_results_of_others_are_never_changed(results: list[Any], style: bool | None, rest: dict[str, Any]) -> None:
    front = {"license": "mit", "model-index": [{"name": "minilm", "results": results}], **rest}
    text = yaml.safe_dump(front, sort_keys=False, default_flow_style=style)
    try:
        changed = with_results(f"---\n{text}---\nbody\n", "minilm", MRPC)
    except UsageError:
        return  # refused, and so unchanged
    data = yaml.safe_load(changed[4 : changed.index("\n---\nbody")])
    assert repr(data["model-index"][0]["results"]) == repr([*results, *MRPC])
