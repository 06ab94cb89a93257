"""`zoo cache`: what is cached, and what may be removed."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from huggingface_hub import constants

from harness.records.heartbeat_lock import HeartbeatLock
from harness.runs import stored_caches
from harness.runs.named_sources import named_sources
from tests.helpers.project import Zoo
from zoo import paths
from zoo.cli.removal import confirmed
from zoo.errors import UsageError
from zoo.fetch.source_types import ArchiveMember, parse_source
from zoo.fetch.urls import download_name, member_name

NEEDED = "https://zoo.example/needed.pt"


def repository(cache: Path, name: str) -> Path:
    """Make a repository as huggingface_hub stores it."""
    folder, commit = cache / f"models--{name.replace('/', '--')}", "a" * 40
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / "b").write_bytes(b"12345")
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "snapshots" / commit / "config.json").symlink_to(folder / "blobs" / "b")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


def test_repositories_of_other_programs_are_removed_only_if_asked_for(zoo: Zoo, hub: Path) -> None:
    needed, other = repository(hub, "google-bert/bert-base-uncased"), repository(hub, "some/other")
    data = {kind["kind"]: kind for kind in json.loads(zoo("cache", "size", "--json").out)["kinds"]}
    assert (data["hub"]["items"], data["hub-other"]["items"]) == (1, 1)
    assert zoo("cache", "prune", "--unused", "--yes").code == 0
    assert other.exists()
    assert zoo("cache", "prune", "--kind", "hub-other", "--yes").code == 0
    assert (other.exists(), needed.exists()) == (False, True)


def test_repositories_in_the_lock_of_the_user_are_used(
    zoo: Zoo, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = repository(hub, "my/model"), repository(hub, "some/other")
    lock = tmp_path / "my.lock"
    lock.write_text('{"sources": {"hub:my/model": {}}}')
    monkeypatch.setenv("ZOO_LOCK", str(lock))
    assert zoo("cache", "prune", "--unused", "--kind", "hub", "--kind", "hub-other", "--yes").code == 0
    assert (mine.exists(), other.exists()) == (True, False)


def test_a_file_that_nothing_needs_is_unused(zoo: Zoo, hub: Path, tmp_path: Path) -> None:
    file = tmp_path / "home" / "downloads" / "0-old.pt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"123")
    (data,) = json.loads(zoo("cache", "prune", "--unused", "--dry-run", "--json").out)["selected"]
    assert (data["kind"], data["bytes"]) == ("downloads", 3)
    assert file.exists()
    assert zoo("cache", "prune", "--unused").code == 2  # nobody can answer
    assert zoo("cache", "prune", "--unused", "--yes").code == 0
    assert not file.exists()


def test_members_of_archives_that_entries_need_are_used(zoo: Zoo, hub: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "home" / "suites" / "mine" / "a.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text('{weights: "https://zoo.example/all.zip#x/a,b.pt", name: a}')
    folder = tmp_path / "home" / "downloads"
    folder.mkdir()
    for member in ("x/a,b.pt", "x/c.pt"):
        source = parse_source(f"https://zoo.example/all.zip#{member}")
        assert isinstance(source, ArchiveMember)
        (folder / member_name(source)).write_bytes(b"123")
    found = json.loads(zoo("cache", "prune", "--unused", "--dry-run", "--json").out)["selected"]
    assert [item["name"].endswith("-c.pt") for item in found] == [True]
    assert json.loads(zoo("cache", "prune", "--older-than", "1d", "--dry-run", "--json").out)["selected"] == []


def test_a_repository_that_a_download_has_locked_stays(zoo: Zoo, hub: Path) -> None:
    folder = repository(hub, "some/other")
    lock = hub / ".locks" / folder.name / "b.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        done = zoo("cache", "prune", "--kind", "hub-other", "--yes")
    assert (done.code, folder.exists()) == (2, True)
    assert "in use" in done.err


def test_files_of_the_mirror_stay(zoo: Zoo, hub: Path, tmp_path: Path) -> None:
    file = tmp_path / "home" / "downloads" / "0-old.pt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"123")
    done = zoo("cache", "prune", "--unused", "--yes", "--mirror", file.parent)
    assert (done.code, file.exists()) == (2, True)
    assert "mirror" in done.err


def test_nothing_is_pruned_while_a_run_is_in_progress(zoo: Zoo, hub: Path, tmp_path: Path) -> None:
    lock = HeartbeatLock(tmp_path / "home" / "runs" / ".unfinished" / "tiny-0123456789ab.lock")
    assert lock.try_acquire()
    try:
        done = zoo("cache", "prune", "--kind", "tensors", "--yes")
    finally:
        lock.release()
    assert done.code == 2
    assert "in progress" in done.err


def test_damaged_repositories_and_files_are_reported_without_a_traceback(zoo: Zoo, hub: Path, tmp_path: Path) -> None:
    (hub / "models--broken--one").mkdir()
    index = tmp_path / "home" / "runs" / ".cache" / "x.json"
    index.parent.mkdir(parents=True)
    index.write_text("{")
    done = zoo("cache", "size")
    assert done.code == 0
    assert "models--broken--one" in done.err
    assert zoo("cache", "prune", "--unused", "--yes").code == 0
    assert not index.exists()


def test_a_kind_or_condition_is_required(zoo: Zoo, hub: Path) -> None:
    assert zoo("cache", "prune", "--yes").code == 2
    assert "did you mean hub" in zoo("cache", "prune", "--kind", "hug").err


A, B = "https://zoo.example/a.pt", "https://zoo.example/b{1}.pt"
FILES = {
    f'{{init: hub:a/b@main, data: "hub:datasets/c/d", weights: {A}}}': {"hub:a/b", "hub:datasets/c/d", A},
    f"weights: [{A},{NEEDED}]": {A, NEEDED},
    f"weights: {B}": {B},
    f'{{"sources": {{"{B}": {{}}, "hub:a/b": ["{A}"]}}}}': {"hub:a/b", A, B},
    f"# of {NEEDED}\nnote: from {A}, hub:a/b": {"hub:a/b", f"{A},"},
}


def test_nobody_confirms_in_a_process_without_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="Nobody can answer here; pass --yes"):
        confirmed("Remove?", yes=False)


@pytest.mark.parametrize("text", FILES)
def test_the_sources_of_a_file_are_its_keys_and_values(text: str) -> None:
    assert named_sources(text) == (FILES[text], "")


def test_the_sources_of_the_lock_are_found() -> None:
    lock = paths.lock().read_text(encoding="utf-8")
    assert {name for name in json.loads(lock)["sources"] if name.startswith("http")} <= named_sources(lock)[0]


def test_a_damaged_recipe_keeps_everything_that_it_may_name(zoo: Zoo, hub: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "home" / "suites" / "mine" / "a.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(f"weights: [{A},{NEEDED}\n: {{")
    folder = tmp_path / "home" / "downloads"
    folder.mkdir()
    for url in (A, NEEDED, "https://zoo.example/other.pt"):
        (folder / download_name(url)).write_bytes(b"123")
    done = zoo("cache", "prune", "--unused", "--yes")
    assert f"{recipe}: neither JSON nor YAML" in done.err
    assert {path.name for path in folder.iterdir()} == {download_name(A), download_name(NEEDED)}


def test_a_digest_in_the_name_of_a_cached_file_is_shortened(zoo: Zoo, hub: Path, tmp_path: Path) -> None:
    file = tmp_path / "home" / "downloads" / f"{'a1' * 32}-old.pt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"123")
    assert f"{'a1' * 6}-old.pt" in zoo("cache", "size").out
    assert file.name in zoo("cache", "size", "--json").out
    prune = ("cache", "prune", "--unused", "--dry-run")
    assert f"downloads/{'a1' * 6}-old.pt\n" in zoo(*prune).out
    assert file.name in zoo(*prune, "--json").out


def test_only_files_that_are_older_than_an_age_are_removed(zoo: Zoo, hub: Path, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "downloads"
    folder.mkdir(parents=True)
    for name, days in (("0-old.pt", 31), ("1-new.pt", 29)):
        (folder / name).write_bytes(b"123")
        os.utime(folder / name, (time.time() - days * 86_400,) * 2)
    assert zoo("cache", "prune", "--older-than", "30d", "--yes").code == 0
    assert [path.name for path in folder.iterdir()] == ["1-new.pt"]


def test_the_cache_of_the_hub_is_read_once(zoo: Zoo, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders, scans = [repository(hub, f"some/other{number}") for number in range(3)], []
    scan = stored_caches.scan_cache_dir
    monkeypatch.setattr(stored_caches, "scan_cache_dir", lambda folder: scans.append(folder) or scan(folder))
    assert zoo("cache", "prune", "--kind", "hub-other", "--yes").code == 0
    assert not any(folder.exists() for folder in folders)
    assert len(scans) == 1
