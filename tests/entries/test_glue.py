"""The 27 GLUE entries and those of MiniLM: evaluated, trained and judged with small data and models of a local Hub."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard, constants

from harness.records.record import read_record
from harness.runs import glue_submission
from tests.helpers.device import device
from tests.helpers.glue_hub import LOGGED, ROWS, encoder, messages, results, use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.operations import only_deterministic_operations
from tests.helpers.project import ROOT, Zoo
from zoo.recipes import catalogue
from zoo.tasks.glue import GLUE

ENTRIES = catalogue.select(["glue"])
FAMILIES = ("bert-base-uncased-{0}", "bert-large-uncased-{0}", "bert-base-uncased-{0}_from_bert-large-uncased-{0}")
EVERY_KIND = [
    "bert-large-uncased-mrpc",  # classes, two metrics
    "bert-base-uncased-mrpc_from_bert-large-uncased-mrpc",  # distilled classes
    "bert-base-uncased-stsb_from_bert-large-uncased-stsb",  # distilled regression
    "bert-base-uncased-mnli",  # two scored splits
]
"""One entry for each kind of training."""


def test_the_27_entries_are_named_as_their_repositories() -> None:
    names = {entry.name for entry in ENTRIES}
    assert names == {family.format(task) for task in GLUE for family in FAMILIES}
    for entry in ENTRIES:
        assert entry.recipe.weights == f"hub:yoshitomo-matsubara/{entry.name}"
        assert 25 <= len(entry.path.read_text().splitlines()) <= 60, entry.name
        assert {claim.of for claim in entry.recipe.claims} == {"weights", "retrain", "test-server"}


def test_21_entries_claim_a_published_score_and_six_the_score_in_a_log() -> None:
    weights = {e.name: [c for c in e.recipe.claims if c.of == "weights"] for e in ENTRIES}
    assert sum(all(claim.value is not None for claim in claims) for claims in weights.values()) == 21
    logged = {name for name, claims in weights.items() if all(claim.log == "training.log" for claim in claims)}
    assert len(logged) == 6
    (mrpc,) = [c for c in weights["bert-base-uncased-mrpc"] if c.metric == "f1"]
    assert (mrpc.value, mrpc.decimals, mrpc.precision) == (0.90681, 7, "fp32")


def test_every_entry_is_evaluated_and_judged_by_one_command(glue: Zoo, glue_hub: LocalHub) -> None:
    completed = glue("verify", "--suite", "glue", "--json", "--device", device())
    entries = results(completed)
    assert entries.keys() == {entry.name for entry in ENTRIES}, completed.err
    assert all(entry["error"] is None for entry in entries.values()), completed.err
    for entry in entries.values():
        judged = [claim for claim in entry["claims"] if claim["of"] == "weights"]
        assert all(claim["measured"] is not None for claim in judged)
        shown = [claim for claim in entry["claims"] if claim["of"] == "test-server"]
        assert shown
        assert all((claim["measured"], claim["verdict"]) == (None, "not-compared") for claim in shown)
        assert entry["verdict"] in {claim["verdict"] for claim in judged}
    _check_claims_from_the_log(entries["bert-base-uncased-stsb"])
    requests = len(glue_hub.requests)
    again = glue("verify", "--suite", "glue", "--json", "--device", device())
    assert results(again) == entries
    assert len(glue_hub.requests) == requests  # everything is pinned and in the cache


def _check_claims_from_the_log(entry: dict[str, Any]) -> None:
    """Check an entry whose claimed scores stand in the log beside the weights."""
    logged = [claim for claim in entry["claims"] if claim["of"] == "weights"]
    assert {claim["metric"]: claim["claimed"] for claim in logged} == {"pearson": 0.1, "spearman": 0.2}
    record = read_record(Path(entry["records"][0]))
    assert record.published["training.log"] == {"pearson": LOGGED["pearson"], "spearman": LOGGED["spearmanr"]}
    repository = "hub:yoshitomo-matsubara/bert-base-uncased-stsb"
    assert record.provenance[repository]["pinned"] == "first use"
    files = record.identity.sources["files"]
    assert {f"{repository}/{name}" for name in ("config.json", "vocab.txt", "tokenizer_config.json")} < files.keys()


@pytest.mark.parametrize(
    "names", [EVERY_KIND, pytest.param(["--suite", "glue"], marks=pytest.mark.slow)], ids=["every kind", "all"]
)
def test_entries_are_trained_and_judged_with_their_teachers(names: list[str], glue: Zoo) -> None:
    with only_deterministic_operations():
        completed = glue("verify", *names, "--train", "--seeds", "1", "--json", "--device", device())
    entries = results(completed)
    assert entries.keys() == (set(names) if "--suite" not in names else {entry.name for entry in ENTRIES}), (
        completed.err
    )
    assert all(entry["error"] is None for entry in entries.values()), completed.err
    for name, entry in entries.items():
        (path,) = entry["records"]
        record = read_record(Path(path))
        assert {result.selection for result in record.results} == {"best", "last"}
        log = [json.loads(line) for line in Path(path).with_name("log.jsonl").read_text().splitlines()]
        assert len([line for line in log if "losses" in line]) >= 2
        files = record.identity.sources["files"]
        teachers = [file for file in files if "bert-large" in file and "_from_" not in file]
        assert bool(teachers) == ("_from_" in name or name.startswith("bert-large"))
        assert {file.rpartition("/")[0] for file in files} == record.provenance.keys() - {"hub:datasets/nyu-mll/glue"}


@pytest.mark.parametrize(
    "names",
    [
        ["minilm-l6-mrpc", "minilm-l3-mrpc_from_minilm-l6-mrpc"],
        pytest.param([entry.name for entry in catalogue.select(["minilm"])], marks=pytest.mark.slow),
    ],
    ids=["mrpc", "all"],
)
def test_minilm_students_are_trained_by_runs_of_their_teachers(names: list[str], glue: Zoo, glue_hub: LocalHub) -> None:
    glue_hub.add("models", "sentence-transformers/all-MiniLM-L6-v2", encoder("base", num_hidden_layers=6))
    with only_deterministic_operations():
        completed = glue("verify", *names, "--train", "--seeds", "1", "--json", "--device", device())
    entries = results(completed)
    assert entries.keys() == set(names)
    assert all(entry["error"] is None and len(entry["records"]) == 1 for entry in entries.values()), completed.err
    student_path = Path(entries["minilm-l3-mrpc_from_minilm-l6-mrpc"]["records"][0])
    student = read_record(student_path)
    card = ModelCard.load(student_path.with_name("README.md")).data
    assert (card.base_model, card.base_model_relation) == ("sentence-transformers/all-MiniLM-L6-v2", "finetune")
    assert (card.datasets, card.metrics) == (["nyu-mll/glue"], ["accuracy", "f1"])
    data = student.provenance["hub:datasets/nyu-mll/glue"]
    (score, _) = card.eval_results or []
    assert (score.dataset_config, score.dataset_split, score.dataset_revision) == (
        "mrpc", "validation", data["revision"],
    )  # fmt: skip
    assert "run:minilm-l6-mrpc:1000" in student.identity.sources["files"]


@pytest.mark.parametrize(
    "family", [FAMILIES[2], *(pytest.param(family, marks=pytest.mark.slow) for family in FAMILIES[:2])]
)
def test_a_submission_is_complete_but_for_the_number_of_rows(family: str, glue: Zoo) -> None:
    names = [family.format(task) for task in GLUE]
    completed = glue("submit", *names, "--out", "submitted", "--device", device())
    assert completed.code == 1
    files = sorted(path.name for path in Path("submitted").iterdir())
    assert files == sorted([*glue_submission.FILES, glue_submission.ZIP])
    expected = [
        f"{name}: {ROWS['test']} rows after the header, expected {file.rows}"
        for name, file in glue_submission.FILES.items()
    ]
    assert messages(completed) == expected
    assert glue("submit", "--check", "submitted/submission.zip").lines == expected


def test_a_submission_takes_one_entry_of_each_task(glue: Zoo) -> None:
    completed = glue("submit", "bert-base-uncased-mrpc", "bert-large-uncased-mrpc", "--out", "twice")
    assert (completed.code, len(messages(completed))) == (2, 1)
    assert "another entry has the same task" in completed.err


def test_a_submission_is_written_with_the_weights_of_a_training_run(glue: Zoo) -> None:
    assert glue("train", "bert-base-uncased-mrpc", "--out", "mine", "--device", device()).code == 0
    assert glue("submit", "mine", "--out", "own", "--device", device()).code == 1  # this Hub has fewer rows
    assert glue("submit", "bert-base-uncased-mrpc", "--out", "published", "--device", device()).code == 1
    own, published = (Path(folder, "MRPC.tsv").read_text() for folder in ("own", "published"))
    assert len(own.splitlines()) == len(published.splitlines()) == 1 + ROWS["test"]
    both = glue("submit", "mine", "bert-base-uncased-mrpc", "--out", "twice", "--device", device())
    assert (both.code, "another entry has the same task" in both.err) == (2, True)


def test_hidden_labels_are_never_scored(glue: Zoo, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", predictions=np.zeros(ROWS["test"], np.int64))
    completed = glue("evaluate", "mine.npz", "--as", "bert-base-uncased-mrpc", "--split", "test")
    assert (completed.code, completed.lines[-1]) == (2, "the split 'test' is not scored; validation is")


def test_without_a_hub_no_entry_is_run_and_nothing_is_written(zoo: Zoo, tmp_path: Path) -> None:
    started = time.monotonic()
    completed = zoo("verify", "--suite", "glue", "--json")  # no server listens at the port that conftest names
    assert completed.code == 4
    assert time.monotonic() - started < 20  # one deadline of 2 s for all 27 entries, and the time to read them
    entries = results(completed)
    assert entries.keys() == {entry.name for entry in ENTRIES}
    assert {entry["verdict"] for entry in entries.values()} == {"not-run"}
    errors = [str(entry["error"]) for entry in entries.values()]
    assert all("http://127.0.0.1:9 did not answer in" in error for error in errors)
    assert completed.err.count("no connection: run `zoo fetch glue --to DIR` on a machine with internet") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not list(Path(constants.HF_HUB_CACHE).rglob("*nyu-mll*"))


OFFLINE_ENTRY = "bert-base-uncased-rte_from_bert-large-uncased-rte"


def _refuse(*_: object) -> None:
    raise AssertionError("a socket was opened")


def test_a_fetched_entry_is_evaluated_and_trained_without_network(
    zoo: Zoo, glue_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = use_hub(glue_hub, zoo, cache=tmp_path / "hub", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)
    with monkeypatch.context() as offline:
        offline.setattr(constants, "HF_HUB_OFFLINE", True)
        offline.setattr(socket.socket, "connect", _refuse)
        before = run("reproduce", OFFLINE_ENTRY, "--device", device())
    assert before.code == 4
    assert f"HF_HUB_OFFLINE is set; run `zoo fetch {OFFLINE_ENTRY}` once without HF_HUB_OFFLINE" in before.err
    assert (
        (before.out + before.err).count("HF_HUB_OFFLINE is set")
        == before.err.count("to run without a network: run")
        == 1
    )
    assert f"\n  next: zoo fetch {OFFLINE_ENTRY}" in before.out
    fetched = run("fetch", OFFLINE_ENTRY, "--train")
    assert (fetched.code, "MB to download" in fetched.err) == (0, True), fetched.err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket.socket, "connect", _refuse)
    for options in ((), ("--train", "--seeds", "1")):
        completed = run("verify", OFFLINE_ENTRY, "--json", "--device", device(), *options)
        assert results(completed)[OFFLINE_ENTRY]["error"] is None, completed.err


OFFLINE_PROCESS = """
import os, socket, sys
import harness.runs.reproduce
from zoo.cli.app import main

def refuse(*_): raise AssertionError("a socket was opened")

socket.socket.connect = refuse
entry = sys.argv[1]
for options in ((), ("--train", "--seeds", "1")):
    sys.argv = ["zoo", "verify", entry, "--json", "--device", os.environ["ZOO_TEST_DEVICE"], *options]
    try: main()
    except SystemExit: pass
"""


@pytest.mark.slow
@pytest.mark.process
def test_a_process_with_hf_hub_offline_runs_a_fetched_entry(
    zoo: Zoo, glue_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables of the environment are read when huggingface_hub is imported."""
    cache = tmp_path / "hf" / "hub"
    online = use_hub(glue_hub, zoo, cache=cache, lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)
    assert online("fetch", OFFLINE_ENTRY, "--train").code == 0
    variables = {"HF_ENDPOINT": glue_hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE_PROCESS, OFFLINE_ENTRY],
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    printed = [json.loads(text) for text in re.split(r"\n(?={)", done.stdout.strip())]
    assert [result["entries"][0]["error"] for result in printed] == [None, None], done.stderr
