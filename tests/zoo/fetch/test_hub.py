"""Fetch files of repositories: the choice of files, the cache, the Hub, and access."""

import json
import threading
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save
from tqdm import TMonitor
from transformers import BertConfig, BertForSequenceClassification

from tests.helpers.hub_client import (
    CONFIG,
    FILES,
    MODEL,
    MODEL_FILES,
    ROWS,
    TABLES,
    WEIGHTS,
    MakeSources,
    StartFetch,
    digest,
    end_of,
    pinned,
    read,
    refused,
    tamper,
)
from tests.helpers.hub_server import STRANGER, LocalHub
from zoo import paths
from zoo.errors import IntegrityError, SourceError, UsageError
from zoo.fetch.lock import FilePin, Pin
from zoo.fetch.repository_files import INDEX, is_part
from zoo.fetch.sources import Source
from zoo.models.pretrained import pretrained
from zoo.models.published import published_classifier

LARGE = "hub:someone/large"


def test_only_the_wanted_files_are_downloaded(hub_sources: MakeSources, hub: LocalHub) -> None:
    weights = hub_sources().fetch(MODEL)
    assert read(weights) == MODEL_FILES
    assert (weights.weights, weights.sha256) == ("model.safetensors", digest(WEIGHTS))
    assert any("/lfs/" in path for _, path, _ in hub.requests)  # where a token is refused
    assert not any("vocab.txt" in path for _, path, _ in hub.requests)
    assert read(hub_sources().fetch(MODEL, "tokenizer")) == {**CONFIG, "vocab.txt": FILES["vocab.txt"]}
    assert read(hub_sources().fetch(MODEL, "vocab.txt")) == {"vocab.txt": FILES["vocab.txt"]}
    assert read(hub_sources().fetch(TABLES, "data/rte")) == ROWS


def split_bert(folder: Path) -> dict[str, bytes]:
    """Return the files of a tiny BERT whose weights are split over several files."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = BertForSequenceClassification(BertConfig(**sizes, intermediate_size=4, num_labels=2))
    model.save_pretrained(folder, max_shard_size="1KB")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_split_weights_are_downloaded_pinned_and_loaded(
    hub_sources: MakeSources, hub: LocalHub, tmp_path: Path
) -> None:
    files = split_bert(tmp_path / "split")
    parts = sorted(name for name in files if is_part(name))
    assert len(parts) == 2
    hub.add("models", "someone/large", {**files, "README.md": b"", "model-00009-of-x.safetensors.bak": b""})
    fetched = hub_sources().fetch(LARGE)
    assert (read(fetched), fetched.weights) == (files, INDEX)
    assert {name: fetched.files[f"{LARGE}/{name}"] for name in parts} == {name: digest(files[name]) for name in parts}
    whole = BertForSequenceClassification.from_pretrained(tmp_path / "split").state_dict()
    classifier = published_classifier(fetched.path, INDEX, {"num_labels": 2})
    empty = BertForSequenceClassification(classifier.config)
    started = pretrained(model=empty, weights=Source(hub_sources(), LARGE))
    for model in (classifier, started):
        assert all(torch.equal(value, whole[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("number", [0, -1])
def test_every_part_of_split_weights_is_verified(
    number: int, hub_sources: MakeSources, hub: LocalHub, tmp_path: Path
) -> None:
    files = split_bert(tmp_path / "split")
    part = sorted(name for name in files if is_part(name))[number]
    hub.add("models", "someone/large", files)
    tamper(hub_sources().fetch(LARGE), part)
    assert read(hub_sources().fetch(LARGE))[part] == files[part]  # downloaded again
    changed = hub.add("models", "someone/large", {**files, part: files[part][:-1] + b"x"})
    with pytest.raises(IntegrityError, match=f"{part}: expected"):
        hub_sources({LARGE: Pin(revision=changed, files={part: FilePin(sha256=digest(files[part]))})}).fetch(LARGE)


def test_a_tensor_in_two_parts_is_refused(hub_sources: MakeSources, hub: LocalHub) -> None:
    weights = {f"model-0000{number}-of-00002.safetensors": save({"weight": torch.ones(1)}) for number in (1, 2)}
    index = json.dumps({"weight_map": dict(zip(("weight", "bias"), weights, strict=True))}).encode()
    hub.add("models", "someone/large", {**CONFIG, **weights, INDEX: index})
    with pytest.raises(IntegrityError, match=r"the tensor 'weight' is in model-00001.* and in model-00002"):
        pretrained(model=torch.nn.Linear(1, 1, bias=False), weights=Source(hub_sources(), LARGE))


def test_every_page_of_a_listing_is_read(hub_sources: MakeSources) -> None:
    with LocalHub(page=2) as hub:
        hub.add("datasets", "someone/tables", {**{f"a{number}.txt": b"" for number in range(5)}, **ROWS})
        assert read(hub_sources(at=hub.url).fetch(TABLES, "data/rte")) == ROWS
        assert sum("/tree/" in path for _, path, _ in hub.requests) == 4


def test_download_size_counts_only_files_that_are_missing(hub_sources: MakeSources, hub: LocalHub) -> None:
    assert hub_sources().download_size(MODEL, "weights") == sum(map(len, MODEL_FILES.values()))
    commit = hub_sources().fetch(MODEL, "config").revision
    assert hub_sources().download_size(MODEL, "weights") == len(WEIGHTS)
    assert not hub_sources().fetch(MODEL).locked
    assert hub_sources({MODEL: Pin(revision=commit)}).fetch(MODEL).locked
    hub.requests.clear()
    assert hub_sources().download_size(MODEL, "weights") == 0
    assert hub.requests == []


def test_progress_counts_every_byte_once(hub_sources: MakeSources) -> None:
    sources, counts = hub_sources(), []
    sources.hub.on_bytes = counts.append
    sources.fetch(MODEL)
    assert sum(counts) == sum(map(len, MODEL_FILES.values()))


def test_downloads_leave_no_progress_threads(hub_sources: MakeSources) -> None:
    before = set(threading.enumerate())
    hub_sources().fetch(MODEL)
    assert [thread for thread in set(threading.enumerate()) - before if isinstance(thread, TMonitor)] == []


def test_files_come_from_the_endpoint_of_the_hub_object(
    hub_sources: MakeSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = hub_sources()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    )
    assert read(sources.fetch(MODEL)) == MODEL_FILES


def test_cached_files_need_no_request(hub_sources: MakeSources, hub: LocalHub, start_fetch: StartFetch) -> None:
    needs = [(MODEL, "weights"), (MODEL, "tokenizer"), (TABLES, "data/rte")]
    for source, want in needs:
        hub_sources().fetch(source, want)
    hub.requests.clear()
    trusted = paths.home() / "trusted.json"
    before = trusted.stat().st_mtime_ns
    sources = hub_sources()
    assert [read(sources.fetch(source, want)) for source, want in needs[::2]] == [MODEL_FILES, ROWS]
    again = end_of(start_fetch(MODEL))
    assert (again.code, again.err) == (0, "")
    assert (Path(again.out.strip()) / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.requests == []
    assert trusted.stat().st_mtime_ns == before


NO_SOCKETS = """
import socket

def refuse(*_):
    raise AssertionError("a connection")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


def test_offline_only_cached_files_can_be_fetched(
    hub_sources: MakeSources, hub: LocalHub, start_fetch: StartFetch
) -> None:
    fetched = hub_sources().fetch(MODEL)
    tamper(hub_sources().fetch(TABLES, "data/rte"), "rte/train-0.parquet")
    hub.requests.clear()
    needs = [(MODEL,), (TABLES, "data/rte"), (MODEL, "tokenizer"), ("hub:someone/else",)]
    processes = [start_fetch(*args, before=NO_SOCKETS, HF_HUB_OFFLINE="1") for args in needs]
    there, wrong, *missing = map(end_of, processes)
    assert (there.code, there.out.strip(), there.err) == (0, str(fetched.path), "")
    assert (wrong.code, len(wrong.lines)) == (5, 1)
    for end in missing:
        assert (end.code, len(end.lines)) == (4, 1)
        assert "HF_HUB_OFFLINE" in end.err
        assert "zoo fetch" in end.err
    assert hub.requests == []


def test_an_unknown_token_is_reported_with_its_origin(
    hub_sources: MakeSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong789")
    with refused(SourceError, "someone/tiny", "refuses the token", "HF_TOKEN", "401"):
        hub_sources().fetch(MODEL)


@pytest.mark.parametrize(
    ("token", "words"), [("hf_wrong789", "refuses the token"), (STRANGER, "is gated"), (None, "is gated")]
)
def test_a_gated_repository_needs_a_token_with_access(
    token: str | None, words: str, hub_sources: MakeSources, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("models", "someone/gated", FILES, gated=True)
    assert read(hub_sources().fetch("hub:someone/gated", "config")) == CONFIG
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    with refused(SourceError, "someone/gated", words, "HF_TOKEN"):
        hub_sources().fetch("hub:someone/gated")


@pytest.mark.parametrize("token", [STRANGER, None])
def test_a_private_repository_is_reported_as_missing_or_private(
    token: str | None, hub_sources: MakeSources, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("models", "someone/private", FILES, private=True)
    assert read(hub_sources().fetch("hub:someone/private", "config")) == CONFIG
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    with refused(SourceError, "someone/private", "no such model repository", "private"):
        hub_sources().fetch("hub:someone/private")


def test_a_token_with_an_impossible_character_is_refused(
    hub_sources: MakeSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_s\u00e9cret123")
    with refused(SourceError, "someone/tiny"):
        hub_sources().fetch(MODEL)


def test_a_missing_repository_revision_or_file_is_named(hub_sources: MakeSources, hub: LocalHub) -> None:
    with refused(SourceError, "someone/gone", "no such model repository"):
        hub_sources().fetch("hub:someone/gone")
    with refused(SourceError, "someone/tables", "no such model repository"):
        hub_sources().fetch("hub:someone/tables")
    with refused(SourceError, "someone/tiny", "revision v2", "--lock"):
        hub_sources().fetch(f"{MODEL}@v2")
    with refused(SourceError, "someone/tiny", "0" * 40, "--lock"):
        hub_sources().fetch(f"{MODEL}@{'0' * 40}")
    with refused(SourceError, "'tokenizer.model'", "vocab.txt"):
        hub_sources().fetch(MODEL, "tokenizer.model")
    with refused(SourceError, "'rtf'", "did you mean rte?"):
        hub_sources().fetch(TABLES, "data/rtf")
    locked = Pin(
        revision=hub.add("models", "someone/tiny", CONFIG), files={"a.txt": pinned(b"")}, wants={"a": ("a.txt",)}
    )
    with refused(SourceError, "someone/tiny", "a.txt", "at that commit"):
        hub_sources({MODEL: locked}).fetch(MODEL, "a")


@pytest.mark.parametrize("source", ["hub:tiny", "hub:a/b/c", "hub:/b", "hub:datasets/b", "hub:a b/c", "hub:a/b--c"])
def test_a_malformed_repository_is_a_usage_error_without_a_request(
    source: str, hub_sources: MakeSources, hub: LocalHub
) -> None:
    with refused(UsageError, source.removeprefix("hub:").removeprefix("datasets/")):
        hub_sources().fetch(source)
    assert hub.requests == []
