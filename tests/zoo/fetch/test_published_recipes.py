"""Recipes and weights in repositories: the commits that are read, and the pins that apply."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from huggingface_hub import constants
from transformers import BertForSequenceClassification

from harness.records.arrays import read_arrays
from harness.records.record import read_record
from tests.helpers.device import device
from tests.helpers.glue_hub import TOKENIZER, VOCABULARY, classifier
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Zoo
from zoo.errors import MissingError, SourceError
from zoo.fetch.lock import FilePin, Lock, Pin, read_lock
from zoo.fetch.sources import Sources

MRPC = (ROOT / "configs" / "glue" / "bert-base-uncased-mrpc.yaml").read_text()
PUBLISHED = "hub:yoshitomo-matsubara/bert-base-uncased-mrpc"


def test_a_pin_without_a_commit_holds_for_the_repository_at_any_commit(
    glue_zoo: Zoo, glue_hub: LocalHub, tmp_path: Path
) -> None:
    recipe = MRPC.replace(PUBLISHED, "hub:.").replace("bert-base-uncased-mrpc", "copy", 1).encode()
    commit = glue_hub.add("models", "someone/pinned", {**classifier("base", 2, seed=1), "zoo.yaml": recipe})
    wrong = {"pytorch_model.bin": {"sha256": "0" * 64}}
    for revision in ({"revision": commit}, {}):
        (tmp_path / "zoo.lock").write_text(
            json.dumps({"schema": 1, "sources": {"hub:someone/pinned": {**revision, "files": wrong}}})
        )
        completed = glue_zoo("reproduce", "someone/pinned", "--device", device())
        assert completed.code == 5, completed.err
        assert f"pytorch_model.bin: expected sha256 {'0' * 64}" in completed.err
        assert not list(tmp_path.rglob("record.json"))
    other = {"revision": "1" * 40, "files": wrong}
    (tmp_path / "zoo.lock").write_text(json.dumps({"schema": 1, "sources": {"hub:someone/pinned": other}}))
    assert glue_zoo("show", f"someone/pinned@{commit}").code == 0  # of another commit the lock says nothing


def test_locked_weights_that_are_missing_are_not_replaced_by_others(glue_sources: Sources, glue_hub: LocalHub) -> None:
    glue_hub.add("models", "someone/other", classifier("base", 2, seed=1, style="now"))
    pin = Pin(files={"pytorch_model.bin": FilePin(sha256="0" * 64)})
    lock = Lock(glue_sources.lock.path, {"hub:someone/other": pin}, glue_sources.lock.trust_file)
    with pytest.raises(MissingError, match=r"does not have pytorch_model.bin, which the lock names"):
        Sources(lock=lock, hub=glue_sources.hub).fetch("hub:someone/other")


def test_a_recipe_that_is_published_later_is_found(glue_zoo: Zoo, glue_hub: LocalHub) -> None:
    files = classifier("base", 2, seed=1)
    glue_hub.add("models", "someone/later", files)
    for _ in range(2):
        done = glue_zoo("reproduce", "someone/later")
        assert done.code == 3
        assert "no-claims: the repository publishes no score" in done.out
    recipe = MRPC.replace(PUBLISHED, "hub:.").replace("bert-base-uncased-mrpc", "copy", 1).encode()
    glue_hub.add("models", "someone/later", {**files, "zoo.yaml": recipe})
    shown = glue_zoo("show", "someone/later")
    assert shown.code == 0
    assert recipe.decode().strip() in shown.out
    assert "copy" in glue_zoo("list", "someone/later").out


def test_a_published_recipe_is_updated_in_a_lock(glue_zoo: Zoo, glue_hub: LocalHub, tmp_path: Path) -> None:
    recipe = MRPC.replace(PUBLISHED, "hub:.").replace("bert-base-uncased-mrpc", "copy", 1).encode()
    files = {**classifier("base", 2, seed=1), "zoo.yaml": recipe}
    first = glue_hub.add("models", "someone/renewed", files)
    assert glue_zoo("lock", "--update", "someone/renewed").code == 0
    pins = read_lock(tmp_path / "zoo.lock").pins["hub:someone/renewed"]
    assert pins.revision == first
    assert {"zoo.yaml", "pytorch_model.bin", "config.json"} <= pins.files.keys()
    second = glue_hub.add("models", "someone/renewed", {**files, "notes.txt": b"new"})
    assert json.loads(glue_zoo("lock", "someone/renewed", "--json").out)["sources"]
    assert read_lock(tmp_path / "zoo.lock").pins["hub:someone/renewed"].revision == first
    assert f"+ hub:someone/renewed revision {second}" in glue_zoo("lock", "--update", "someone/renewed").out
    assert not [source for source in read_lock(tmp_path / "zoo.lock").pins if "@" in source]


def test_updating_one_entry_keeps_the_pins_of_others(glue_zoo: Zoo, tmp_path: Path) -> None:
    for task in ("cola", "mrpc"):
        assert glue_zoo("lock", "--update", f"bert-base-uncased-{task}").code == 0
    pinned = read_lock(tmp_path / "zoo.lock").pins["hub:datasets/nyu-mll/glue"]
    assert {name.split("/")[0] for name in pinned.files} == {"README.md", "cola", "mrpc"}
    lock = json.loads((tmp_path / "zoo.lock").read_text())
    lock["sources"]["hub:datasets/nyu-mll/glue"]["files"]["cola/train-00000-of-00001.parquet"]["sha256"] = "0" * 64
    (tmp_path / "zoo.lock").write_text(json.dumps(lock))
    completed = glue_zoo("lock", "--update", "bert-base-uncased-cola")
    assert completed.code == 5
    assert f"expected sha256 {'0' * 64}" in completed.err
    assert glue_zoo("lock", "--check", "bert-base-uncased-cola").code == 0


def test_pins_that_another_process_has_locked_are_an_error_by_the_deadline(
    glue_sources: Sources, glue_hub: LocalHub
) -> None:
    glue_sources.lock.trust_file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{glue_sources.lock.trust_file}.lock"), pytest.raises(SourceError, match="another process holds"):
        glue_sources.fetch(PUBLISHED, "config")


def test_another_tokenizer_makes_another_run(glue_zoo: Zoo, glue_hub: LocalHub, tmp_path: Path) -> None:
    for name, words in (("first", VOCABULARY), ("second", [*VOCABULARY[:5], *reversed(VOCABULARY[5:])])):
        glue_hub.add(
            "models", f"words/{name}", {**classifier("base", 2, seed=1), "vocab.txt": "\n".join(words).encode()}
        )
        text = MRPC.replace(f"weights: {PUBLISHED}", "weights: hub:words/first")
        (tmp_path / "copy.yaml").write_text(
            text.replace(f"of: {PUBLISHED}", f"of: hub:words/{name}").replace("bert-base-uncased-mrpc", "copy", 1)
        )
        completed = glue_zoo("reproduce", "copy.yaml", "--json", "--device", device())
        assert json.loads(completed.out)["entries"][0]["error"] is None, completed.err
    records = [read_record(path) for path in tmp_path.rglob("record.json")]
    assert len({record.identity.key for record in records}) == len(records) == 2
    assert all(any("vocab.txt" in name for name in record.identity.sources["files"]) for record in records)


def test_the_key_of_a_record_depends_on_bytes_and_not_on_commits(glue_zoo: Zoo, glue_hub: LocalHub) -> None:
    recipe = MRPC.replace(PUBLISHED, "hub:.").replace("bert-base-uncased-mrpc", "copy", 1).encode()
    files = {**classifier("base", 2, seed=1), "zoo.yaml": recipe}
    first = glue_hub.add("models", "someone/nice", files)
    second = glue_hub.add("models", "someone/nice", {**files, "notes.txt": b"nobody reads this"})
    keys = []
    for commit in (first, second):
        completed = glue_zoo("reproduce", f"someone/nice@{commit}", "--json", "--device", device(), "--records", commit)
        (entry,) = json.loads(completed.out)["entries"]
        assert entry["error"] is None, completed.err
        record = read_record(Path(entry["records"][0]))
        assert record.provenance[f"hub:someone/nice@{commit}"]["revision"] == commit
        keys.append(record.identity.key)
    assert first != second
    assert keys[0] == keys[1]


def test_a_published_recipe_is_checked_at_the_locked_commit(glue_zoo: Zoo, glue_hub: LocalHub, tmp_path: Path) -> None:
    recipe = MRPC.replace(PUBLISHED, "hub:.").replace("bert-base-uncased-mrpc", "copy", 1).encode()
    commit = glue_hub.add("models", "someone/locked", {**classifier("base", 2, seed=1), "zoo.yaml": recipe})
    glue_hub.add("models", "someone/locked", {"zoo.yaml": b"name: [broken"})
    pinned = {"schema": 1, "sources": {"hub:someone/locked": {"revision": commit, "files": {}}}}
    (tmp_path / "zoo.lock").write_text(json.dumps(pinned))
    completed = glue_zoo("check", "someone/locked")
    assert completed.code == 0, completed.err


def test_a_known_digest_is_enforced_when_a_lock_is_updated(glue_zoo: Zoo, tmp_path: Path) -> None:
    pinned = {
        "sources": {
            "hub:yoshitomo-matsubara/bert-base-uncased-cola": {"files": {"pytorch_model.bin": {"sha256": "0" * 64}}}
        }
    }
    (tmp_path / "zoo.lock").write_text(json.dumps({"schema": 1, **pinned}))
    completed = glue_zoo("lock", "--update", "bert-base-uncased-cola")
    assert completed.code == 5
    assert f"pytorch_model.bin: expected sha256 {'0' * 64}" in completed.err
    assert json.loads((tmp_path / "zoo.lock").read_text())["sources"] == pinned["sources"]


def test_a_missing_log_does_not_prevent_fetching_and_judging_offline(
    glue_zoo: Zoo, glue_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    glue_hub.add("models", "someone/unlogged", classifier("base", 2, seed=1))
    text = (ROOT / "configs" / "glue" / "bert-base-uncased-wnli.yaml").read_text()
    published = "hub:yoshitomo-matsubara/bert-base-uncased-wnli"
    (tmp_path / "unlogged.yaml").write_text(text.replace(published, "hub:someone/unlogged"))
    fetched = glue_zoo("fetch", "unlogged.yaml")
    assert fetched.code == 0, fetched.err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    requests = len(glue_hub.requests)
    for _ in range(2):
        completed = glue_zoo("verify", "unlogged.yaml", "--json", "--device", device())
        (entry,) = json.loads(completed.out)["entries"]
        assert (entry["error"], entry["verdict"]) == (None, "not-compared"), completed.err
    assert len(glue_hub.requests) == requests


def test_a_hub_that_names_no_commit_leaves_no_pins(glue_sources: Sources, glue_hub: LocalHub) -> None:
    glue_hub.add("models", "someone/vague", {"config.json": b"{}"})
    glue_hub.repos["models", "someone/vague"].main = "main"
    glue_hub.repos["models", "someone/vague"].commits["main"] = {"config.json": b"{}"}
    with pytest.raises(Exception, match="does not say which commit main is"):
        glue_sources.fetch("hub:someone/vague", "config")
    assert not glue_sources.lock.trust_file.exists()
    assert glue_sources.fetch(PUBLISHED, "config").names == ["config.json"]


def test_a_lock_that_names_other_weights_than_before_is_obeyed(glue_sources: Sources, glue_hub: LocalHub) -> None:
    files = classifier("base", 2, seed=1, style="now")
    commit = glue_hub.add("models", "someone/both", {**files, "pytorch_model.bin": b"the locked ones"})
    assert glue_sources.fetch("hub:someone/both").weights == "model.safetensors"
    pin = Pin(revision=commit, files={"pytorch_model.bin": FilePin(size=15)})
    lock = Lock(glue_sources.lock.path, {"hub:someone/both": pin}, glue_sources.lock.trust_file)
    assert Sources(lock=lock, hub=glue_sources.hub).fetch("hub:someone/both").weights == "pytorch_model.bin"


def test_weights_in_several_files_are_loaded(glue_zoo: Zoo, glue_hub: LocalHub, tmp_path: Path) -> None:
    folder = tmp_path / "whole"
    folder.mkdir()
    for name, data in classifier("base", 2, seed=1, style="now").items():
        (folder / name).write_bytes(data)
    BertForSequenceClassification.from_pretrained(folder).save_pretrained(tmp_path / "parts", max_shard_size="8KB")
    files = {path.name: path.read_bytes() for path in (tmp_path / "parts").iterdir()}
    assert len([name for name in files if name.endswith(".safetensors")]) > 1
    scores = []
    for name, published in (("parts", files), ("whole", classifier("base", 2, seed=1, style="now"))):
        glue_hub.add("models", f"someone/{name}", {**published, **TOKENIZER})
        (tmp_path / f"{name}.yaml").write_text(MRPC.replace(f"weights: {PUBLISHED}", f"weights: hub:someone/{name}"))
        completed = glue_zoo("reproduce", f"{name}.yaml", "--json", "--device", device())
        (entry,) = json.loads(completed.out)["entries"]
        assert entry["error"] is None, completed.err
        scores.append(read_arrays(Path(entry["records"][0]).with_name("predictions-validation.npz"))["logits"])
    assert np.array_equal(*scores)


@pytest.fixture
def published(glue_sources: Sources, glue_hub: LocalHub) -> Sources:
    """Sources of a recipe that is published with a file, and with a folder of two files."""
    files = {
        "words.txt": b"a\nb\n",
        "flowers/train/rose/1.png": b"1",
        "flowers/train/rose/2.png": b"2",
        "flowers.txt": b"",
    }
    commit = glue_hub.add("models", "someone/files", files)
    return replace(glue_sources, recipe_repo=f"hub:someone/files@{commit}")


def test_a_relative_path_in_a_published_recipe_is_a_file_of_its_repository(published: Sources, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(b"a\nb\n")
    fetched = published.fetch("file:./words.txt", "tokenizer")
    local = Sources(recipe_folder=tmp_path).fetch("file:./words.txt")
    assert fetched.path.read_bytes() == b"a\nb\n"
    assert (fetched.source, fetched.sha256, fetched.files) == (local.source, local.sha256, local.files)
    assert local.files == {"file:./words.txt": local.sha256}  # a record names no folder of this machine


@pytest.mark.parametrize("want", ["data", "tokenizer", "weights", "data/a"])
def test_a_folder_of_the_repository_is_read_as_one_on_this_machine(
    glue_sources: Sources, glue_hub: LocalHub, tmp_path: Path, want: str
) -> None:
    files = {
        **classifier("base", 2, seed=1, style="now"), **TOKENIZER, "README.md": b"# Data\n",
        "a/train.csv": b"text,label\n", "b/train.csv": b"x,y\n",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / "sub" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sub" / name).write_bytes(content)
    commit = glue_hub.add("models", "someone/sub", {f"sub/{name}": content for name, content in files.items()})
    published = replace(glue_sources, recipe_repo=f"hub:someone/sub@{commit}").fetch("file:sub", want)
    local = Sources(recipe_folder=tmp_path).fetch("file:sub", want)
    assert (published.files, published.weights, published.sha256) == (local.files, local.weights, local.sha256)
    read = {"data": ["a", "b"], "data/a": ["a"]}.get(want, [])
    assert sorted(file.parent.name for file in published.path.rglob("train.csv")) == read


def test_a_local_folder_stands_for_the_repository_of_its_recipe(
    glue_sources: Sources, glue_hub: LocalHub, tmp_path: Path
) -> None:
    files = {**classifier("base", 2, seed=1, style="now"), **TOKENIZER, "record.json": b"{}", "extra.json": b"{}"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    commit = glue_hub.add("models", "someone/whole", files)
    published = replace(glue_sources, recipe_repo=f"hub:someone/whole@{commit}")
    for want in ("weights", "tokenizer", "vocab.txt"):
        local = Sources(recipe_folder=tmp_path).fetch("hub:.", want)
        assert list(local.files.values()) == list(published.fetch("hub:.", want).files.values())


def test_a_file_that_its_author_has_not_published_is_named(published: Sources) -> None:
    with pytest.raises(MissingError, match=r"its recipe reads rows\.csv, which its author has not published"):
        published.fetch("file:rows.csv", "data")
