"""publish."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import constants

from harness.publishing.scores import published_scores
from harness.records.record import read_record
from harness.runs.judged_runs import judged_runs
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import STRANGER, TOKEN, LocalHub
from tests.helpers.project import TINY, Write, Zoo
from zoo import files

URL = "https://example.org/record"
DIGITS = ("publish", "digits-resnet8:weights", "--source", URL)
CARD = "---\nlicense: mit\n---\n# Digits\n"


@pytest.fixture
def hub(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with LocalHub() as server:
        use_hub(server, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)
        server.add("models", "someone/digits", {"README.md": CARD.encode(), "config.json": b"{}"})
        yield server


def test_nothing_is_written_by_default(zoo: Zoo, tmp_path: Path) -> None:
    completed = zoo(*DIGITS, "--to", "model-index")
    assert completed.code == 0
    assert completed.out.startswith("--- /dev/null\n+++ b/README.md\n")
    assert completed.err == "nothing was written; pass --out PATH to write it\n"
    assert not list(tmp_path.glob("*.md"))


def test_a_card_is_written_once(zoo: Zoo) -> None:
    Path("README.md").write_text(CARD)
    dry = zoo(*DIGITS, "--to", "model-index", "--card", "README.md", "--dry-run")
    assert (dry.code, dry.err) == (0, "nothing was written; leave out --dry-run to write it\n")
    assert Path("README.md").read_text() == CARD
    first = zoo(*DIGITS, "--to", "model-index", "--card", "README.md")
    assert (first.code, first.err) == (0, "wrote README.md\n")
    assert "+model-index:" in first.out
    assert Path("README.md").read_text().endswith("---\n# Digits\n")
    again = zoo(*DIGITS, "--to", "model-index", "--card", "README.md")
    assert (again.code, again.out, again.err) == (0, "", "unchanged: README.md\n")
    for words in (["--card", "README.md", "--dry-run"], ["--out", "README.md", "--card", "README.md"]):
        assert zoo(*DIGITS, "--to", "model-index", *words).err == "unchanged: README.md\n"


def test_results_of_a_model_that_the_card_does_not_name_are_its_own_entry(zoo: Zoo) -> None:
    Path("README.md").write_text("---\nmodel-index:\n- name: other\n  results: []\n---\n# Other\n")
    assert zoo(*DIGITS, "--to", "model-index", "--card", "README.md").code == 0
    front = yaml.safe_load(Path("README.md").read_text().split("---")[1])
    assert [(model["name"], len(model["results"])) for model in front["model-index"]] == [
        ("other", 0), ("digits-resnet8", 1),
    ]  # fmt: skip


def test_the_only_model_in_the_card_of_a_repository_is_its_model(zoo: Zoo, hub: LocalHub) -> None:
    card = b"---\nmodel-index:\n- name: My digits\n  results: []\n---\n"
    hub.add("models", "someone/named", {"README.md": card, "config.json": b"{}"})
    shown = zoo(*DIGITS, "--to", "hub-pr", "--repo", "someone/named")
    assert "+  results:\n+  - task:\n" in shown.out
    assert "+- name:" not in shown.out


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (("publish", "--to", "model-index", "--source", URL, "--out"), "README.md"),
        (("attest", "sign", "--key", "my.key", "--out"), "a.json"),
    ],
)
def test_a_folder_that_cannot_be_written_is_named_with_the_next_step(
    words: tuple[str, ...], file: str, zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert zoo("train", recipe_file(), "--out", "run").code == 0
    assert zoo("attest", "key", "my.key").code == 0
    written = files.write_atomically

    def refuse(path: Path, content: str) -> None:
        if path.parent.name == "run":
            raise PermissionError(13, "Permission denied", str(path))
        written(path, content)

    monkeypatch.setattr(files, "write_atomically", refuse)
    refused = zoo(*words, f"run/{file}", "run")
    assert (refused.code, len(refused.lines)) == (4, 1)
    assert refused.err.startswith(
        f"run/{file}: cannot write there: Permission denied; the run is unchanged: pass --out"
    )
    assert zoo(*words, file, "run").code == 0


def test_every_eval_ever_is_a_folder(zoo: Zoo) -> None:
    completed = zoo("publish", "digits-resnet8:weights", "--to", "every-eval-ever", "--out", "eee", "--json")
    assert completed.code == 0
    names = json.loads(completed.out)["files"]
    assert [Path(name).suffix for name in names] == [".json", ".jsonl"]
    assert all(Path(name).is_file() for name in names)


def test_the_lines_of_examples_are_counted_and_not_printed(zoo: Zoo) -> None:
    completed = zoo("publish", "digits-resnet8:weights", "--to", "every-eval-ever")
    assert '+  "schema_version": "0.3.0",' in completed.out
    assert completed.out.splitlines()[-1].startswith("898 lines in data/")
    assert "sample_id" not in completed.out


def test_an_entry_without_a_run_says_how_to_make_one(zoo: Zoo) -> None:
    completed = zoo("publish", "bert-base-uncased-mrpc:weights", "--to", "hub-pr", "--source", URL)
    assert completed.code == 2
    assert completed.err.endswith("; make one: zoo reproduce bert-base-uncased-mrpc\n")


def test_a_model_of_the_hub_without_its_run_is_an_error_that_shows_how_to_write_it(zoo: Zoo) -> None:
    completed = zoo("publish", "someone/digits", "--to", "every-eval-ever")
    assert completed.code == 2
    assert "no record 'someone/digits'; for a model of the Hub, write someone/digits:weights" in completed.err


def test_a_model_of_the_hub_without_a_run_is_an_error_without_a_request(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.fetch.hub_connection.HubConnection.request", lambda *_: pytest.fail("a request was sent"))
    for words in (
        ["publish", "someone/digits:weights", "--to", "every-eval-ever"],
        ["diff", "someone/digits:0", "x:0"],
    ):
        completed = zoo(*words)
        assert completed.code == 2
        assert completed.err.endswith("; make one: zoo verify someone/digits, with --train for a training\n")


def test_eval_results_are_written(zoo: Zoo) -> None:
    command = ("publish", "minilm-l6-mrpc:1000", "--to", "eval-results", "--source", URL, "--metric", "f1")
    assert zoo(*command, "--out", "mrpc.yaml").code == 0
    (entry,) = yaml.safe_load(Path("mrpc.yaml").read_text())
    assert entry["dataset"]["task_id"] == "mrpc"


def test_the_card_on_the_hub_is_only_shown(zoo: Zoo, hub: LocalHub) -> None:
    completed = zoo(*DIGITS, "--to", "hub-pr", "--repo", "someone/digits")
    assert completed.code == 0, completed.err
    assert completed.out.startswith("--- a/someone/digits/README.md\n")
    assert completed.err == "nothing was sent; pass --create-pr to create the pull request\n"
    assert {method for method, _, _ in hub.requests} <= {"GET", "HEAD"}


def test_a_pull_request_is_created_with_a_token(zoo: Zoo, hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    completed = zoo(*DIGITS, "--to", "hub-pr", "--repo", "someone/digits", "--create-pr")
    assert completed.code == 0, completed.err
    (request,) = hub.pull_requests
    assert completed.err == f"created {hub.url}/someone/digits/discussions/1\n"
    assert (request.repo, request.title, list(request.files)) == (
        "someone/digits", "Add scores measured by zoo", ["README.md"],
    )  # fmt: skip
    front = yaml.safe_load(request.files["README.md"].decode().split("---")[1])
    assert front["license"] == "mit"
    assert front["model-index"][0]["name"] == "digits"


def test_a_dry_run_of_a_pull_request_is_sent_without_dry_run(zoo: Zoo, hub: LocalHub) -> None:
    completed = zoo(*DIGITS, "--to", "hub-pr", "--repo", "someone/digits", "--create-pr", "--dry-run")
    assert (completed.code, hub.pull_requests) == (0, [])
    assert completed.err == "nothing was sent; leave out --dry-run to create the pull request\n"


def test_without_a_token_nothing_is_sent(zoo: Zoo, hub: LocalHub) -> None:
    completed = zoo(*DIGITS, "--to", "hub-pr", "--repo", "someone/digits", "--create-pr")
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert "--create-pr needs a token" in completed.err
    assert not hub.pull_requests


def test_a_refused_pull_request_is_one_line(zoo: Zoo, hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    completed = zoo(*DIGITS, "--to", "hub-pr", "--repo", "someone/digits", "--create-pr")
    assert (completed.code, len(completed.lines)) == (4, 1)
    assert "someone/digits" in completed.err
    assert STRANGER not in completed.err


def test_a_repository_without_a_card_gets_one(zoo: Zoo, hub: LocalHub) -> None:
    hub.add("models", "someone/bare", {"config.json": b"{}"})
    completed = zoo(*DIGITS, "--to", "hub-pr", "--repo", "someone/bare")
    assert completed.code == 0
    assert completed.out.startswith("--- /dev/null\n+++ b/someone/bare/README.md\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--to", "model-index"], "--to model-index requires --source URL"),
        (["--to", "hub-pr", "--source", "x"], "--source x: not the address of a web page"),
        (["--to", "hub-pr", "--source", URL], "the weights of digits-resnet8 are in no repository of the Hub"),
        (["--to", "every-eval-ever", "--card", "x"], "--card is for --to model-index"),
        (["--to", "every-eval-ever", "--create-pr"], "--repo and --create-pr are for --to hub-pr"),
        (
            ["--to", "model-index", "--source", URL, "--card", "none.md"],
            "none.md: no such file; --out none.md writes one",
        ),
        (["--to", "every-eval-ever", "--metric", "f1"], "the run has no such score; it has accuracy on test"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], error: str, zoo: Zoo) -> None:
    completed = zoo("publish", "digits-resnet8:weights", *words)
    assert completed.code in (2, 4)
    assert completed.err.startswith(error)
    assert len(completed.lines) == 1


def test_only_scores_of_the_kept_weights_are_published(zoo: Zoo, recipe_file: Write) -> None:
    recipe = recipe_file(TINY, ("epochs: 1", "epochs: 2\n    selection: best"))
    assert zoo("train", recipe, "--out", "run").code == 0
    record = read_record(Path("run/record.json"))
    assert {result.selection for result in record.results} == {"last", "best"}
    front = _published_front(zoo)
    (metric,) = [metric for result in front["model-index"][0]["results"] for metric in result["metrics"]]
    assert metric["args"]["weights_sha256"] == record.weights
    assert metric["value"] == record.results[-1].metrics["accuracy"]["value"]


def test_a_claimed_score_of_an_epoch_that_was_not_kept_names_no_weights(zoo: Zoo, recipe_file: Write) -> None:
    claim = "claims: [{of: retrain, split: test, metric: accuracy, value: 0.5, selection: last, source: me}]\n"
    recipe = recipe_file(TINY + claim, ("epochs: 1", "epochs: 2\n    selection: best"))
    assert zoo("train", recipe, "--out", "run").code == 0
    results = _published_front(zoo)["model-index"][0]["results"]
    facts = [metric["args"] for result in results for metric in result["metrics"]]
    assert [("weights_sha256" in each, each.get("epoch")) for each in facts] == [(False, "last"), (True, None)]
    judged = judged_runs([Path("run/record.json")], None, folder=Path("runs"), evidence=Path("records"))
    assert "weights of the last epoch, which are not kept" in published_scores(judged)[0].notes


def _published_front(zoo: Zoo) -> Any:
    done = zoo("publish", "run", "--to", "model-index", "--source", URL, "--out", "card.md")
    assert done.code == 0, done.err
    return yaml.safe_load(Path("card.md").read_text().split("---")[1])
