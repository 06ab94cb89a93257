"""Sweeps over many models of the Hub: lists, searches, limits, shared tokens, and the summary page."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.card_models import SENTIMENTS, card, labels, result, text_data, text_model, texts
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import CompletedCommand, Zoo
from zoo.claims.sweep import parse_query, parse_size, read_names
from zoo.errors import UsageError
from zoo.fetch.hub import ModelSearch
from zoo.tasks import splits

REVIEWS, TWEETS = "someone/reviews", "someone/tweets"
ROWS = texts(40)


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """A Hub with three models on two data sets: one is as claimed, one is not, and one claims nothing."""
    model = text_model(SENTIMENTS)
    right = labels(model, ROWS, right=33)
    with LocalHub() as hub:
        hub.add("datasets", REVIEWS, text_data(["text"], {"validation": (ROWS, right)}, SENTIMENTS))
        hub.add("datasets", TWEETS, text_data(["text"], {"validation": (ROWS, right)}, SENTIMENTS))
        for name, data, value in (("true", REVIEWS, 0.825), ("tweets", TWEETS, 0.825), ("false", REVIEWS, 0.95)):
            hub.add("models", f"someone/{name}", {**model, "README.md": card(result(data, ("accuracy", value)))})
        hub.add("models", "someone/silent", model)
        hub.add("models", "someone/gated", model, gated=True)
        yield hub


@pytest.fixture
def run(hub: LocalHub, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def verdicts(done: CompletedCommand) -> dict[str, str]:
    return {entry["entry"]: entry["verdict"] for entry in json.loads(done.out)["entries"]}


def test_a_list_of_models_is_verified_and_summarized(
    hub: LocalHub, run: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    tokenized: list[int] = []
    tokenize = splits.tokenize
    monkeypatch.setattr(splits, "tokenize", lambda *args, **options: tokenized.append(1) or tokenize(*args, **options))
    names = "# models\nsomeone/true\nsomeone/tweets  # another data set\n\nhf://someone/false\nsomeone/absent\nsomeone/gated\nsomeone/silent\n"
    (tmp_path / "list.txt").write_text(names)
    done = run("verify", "--from", "list.txt", "--json", "--summary", "page.md")
    assert done.code == 1
    assert [line for line in done.lines if line.endswith("trusted on first use")] == [
        "5 sources are trusted on first use"
    ]
    assert verdicts(done) == {
        "someone--true": "reproduced", "someone--tweets": "reproduced", "someone--false": "not-reproduced",
        "someone/absent": "not-run", "someone--gated": "not-compared", "someone--silent": "not-compared",
    }  # fmt: skip
    assert len(tokenized) == 2  # once for each data set, though three models read them
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("# 6 models, 3 claims\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "|" in line]
    assert ["every claim is reproduced", "2"] in rows
    assert ["a claim is not reproduced", "1"] in rows
    assert ["no claim can be compared", "2"] in rows
    link = f"[someone/silent](<{hub.url}/someone/silent>)"
    assert ["no-claims", "1", link] in rows
    assert "5 fewer than claimed (38)" in page
    hub.requests.clear()
    assert verdicts(run("verify", "--from", "list.txt", "--json")) == verdicts(done)
    assert not [path for _, path, _ in hub.requests if "safetensors" in path]


def test_a_dry_run_of_a_list_counts_the_sources_that_it_trusts(run: Zoo, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("someone/true\n")
    done = run("verify", "--from", "list.txt", "--dry-run")
    assert done.code == 0
    assert any(line.endswith("trusted on first use") for line in done.lines), done.lines


def test_a_search_finds_models_and_limits_are_reported(hub: LocalHub, run: Zoo) -> None:
    done = run("verify", "--search", f"task:text-classification dataset:{REVIEWS}", "--json")
    assert verdicts(done) == {"someone--true": "reproduced", "someone--false": "not-reproduced"}
    (query,) = [path for _, path, _ in hub.requests if path.startswith("/api/models?")]
    assert "filter=dataset%3Asomeone%2Freviews" in query
    assert "pipeline_tag=text-classification" in query
    assert "sort=downloads" in query
    few = run("verify", "--search", "someone", "--max-models", "1", "--json")
    assert list(verdicts(few)) == ["someone--true"]
    small = run("verify", "--search", "tweets", "--max-bytes", "1kB", "--json")
    assert (small.code, small.out) == (4, "")
    assert "--max-bytes 1kB: someone/tweets is left out" in small.err
    assert "--max-bytes 1kB: no model is left to verify; pass a larger size" in small.err
    assert run("verify", "--search", "tweets", "--max-bytes", "1MB").code == 0


def test_a_sweep_without_any_model_is_an_error(run: Zoo, tmp_path: Path) -> None:
    for options in ([], ["--fail-on", "none"], ["--json"], ["--dry-run"]):
        done = run("verify", "--search", "author:nobody", *options)
        assert (done.code, done.out) == (4, "")
        assert "--search 'author:nobody': the search found no model; use other words or tags" in done.err
    (tmp_path / "list.txt").write_text("# none yet\n")
    done = run("verify", "--from", "list.txt")
    assert done.code == 4
    assert "--from list.txt: the file names no model; write one OWNER/NAME a line" in done.err


def test_a_hub_without_a_search_is_named_with_the_next_step(hub: LocalHub, run: Zoo) -> None:
    hub.fault(r"/api/models\?", "status", status=404)
    done = run("verify", "--search", "bert")
    assert done.code == 4
    assert f"{hub.url} answers with status 404: it cannot be searched; list the models in a file" in done.err


def test_a_search_needs_the_network(run: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = run("verify", "--search", "bert")
    assert done.code == 4
    assert "the Hub cannot be searched while HF_HUB_OFFLINE is set" in done.err


def test_limits_without_a_sweep_and_wrong_lists_are_refused(run: Zoo, tmp_path: Path) -> None:
    assert "need --from or --search" in run("verify", "--suite", "starter", "--max-models", "3").err
    (tmp_path / "list.txt").write_text("someone/true\nnot a name\n")
    done = run("verify", "--from", "list.txt")
    assert done.code == 2
    assert "list.txt:2: 'not a name' is no model of the Hub" in done.err
    assert run("verify", "--from", "absent.txt").code == 4


def test_names_are_read_without_comments(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\ufeff# all\na/b\n a/c@main # why\n\nhf://a/d\n", encoding="utf-8")
    assert read_names(path) == ["a/b", "a/c@main", "hf://a/d"]


def test_a_query_has_filters_tags_and_words() -> None:
    found = parse_query("task:text-classification dataset:glue language:en author:someone tiny bert")
    assert found == ModelSearch(
        tags=("dataset:glue", "en"), task="text-classification", author="someone", words="tiny bert"
    )
    for wrong in ("", "dataset:"):
        with pytest.raises(UsageError, match="--search: "):
            parse_query(wrong)


@pytest.mark.parametrize(("text", "size"), [("5", 5), ("1.5kB", 1500), ("20 GB", 20 * 10**9), ("2T", 2 * 10**12)])
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_a_size_without_a_number_is_refused() -> None:
    with pytest.raises(UsageError, match="--max-bytes many"):
        parse_size("many")
