"""The lock and the pins of the first use: the commits and bytes that are accepted, and how pins are stored."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.helpers.hub_client import (
    CONFIG,
    FILES,
    MODEL,
    MODEL_FILES,
    OTHER,
    SOON,
    TABLES,
    WEIGHTS,
    MakeSources,
    digest,
    etag_pin,
    pinned,
    read,
    refused,
    tamper,
)
from tests.helpers.hub_server import ALWAYS, LocalHub
from zoo import paths
from zoo.errors import IntegrityError, SourceError
from zoo.fetch.lock import FilePin, Pin, difference, read_lock, write_lock


def test_the_locked_commit_is_read_after_main_has_moved(hub_sources: MakeSources, hub: LocalHub) -> None:
    old = hub.repos["models", "someone/tiny"].main
    new = hub.add("models", "someone/tiny", {**FILES, "model.safetensors": OTHER})
    for pins in ({MODEL: Pin(revision=old)}, {}):  # the second time it is what this machine has seen
        assert read(hub_sources(pins).fetch(MODEL)) == MODEL_FILES
        assert not any(new in path or "/revision/" in path for _, path, _ in hub.requests)
    moved = hub_sources({MODEL: Pin(revision=new)})  # a lock's word counts before what this machine has seen
    assert read(moved.fetch(MODEL))["model.safetensors"] == OTHER


def test_the_commit_of_the_first_use_is_read_after_main_has_moved(hub_sources: MakeSources, hub: LocalHub) -> None:
    hub_sources().fetch(MODEL, "config")
    hub.add("models", "someone/tiny", {"config.json": b"{}", "model.safetensors": OTHER})
    assert read(hub_sources().fetch(MODEL)) == MODEL_FILES


def test_cached_files_of_another_commit_are_never_used(
    hub_sources: MakeSources, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_sources().fetch(MODEL)
    new = hub.add("models", "someone/tiny", {**FILES, "model.safetensors": OTHER})
    hub.fault("someone/tiny", "status", times=ALWAYS, status=503)
    with refused(SourceError, "someone/tiny"):
        hub_sources({MODEL: Pin(revision=new)}, deadline=SOON).fetch(MODEL)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with refused(SourceError, "zoo fetch"):
        hub_sources({MODEL: Pin(revision=new)}).fetch(MODEL)


def test_a_locked_digest_wins_over_the_hubs_listing(
    hub_sources: MakeSources, hub: LocalHub, reports: list[str]
) -> None:
    commit = hub.repos["models", "someone/tiny"].main
    locked = {"config.json": pinned(FILES["config.json"]), "model.safetensors": pinned(OTHER)}
    with refused(IntegrityError, "someone/tiny", "model.safetensors", digest(OTHER), digest(WEIGHTS)):
        hub_sources({MODEL: Pin(revision=commit, files=locked)}).fetch(MODEL)
    locked["model.safetensors"] = pinned(WEIGHTS)
    assert read(hub_sources({MODEL: Pin(revision=commit, files=locked)}).fetch(MODEL)) == MODEL_FILES
    assert reports == []


def test_a_locked_etag_digest_pins_the_file(hub_sources: MakeSources, hub: LocalHub, reports: list[str]) -> None:
    """Only the SHA-256 of the quoted SHA-256 is public of some files; and such a file is the one that is read."""
    commit = hub.add("models", "someone/tiny", {**FILES, "pytorch_model.bin": OTHER})
    wrong, right = ({MODEL: Pin(revision=commit, files={"pytorch_model.bin": etag_pin(of)})} for of in (WEIGHTS, OTHER))
    with refused(IntegrityError, "pytorch_model.bin", digest(OTHER)):
        hub_sources(wrong).fetch(MODEL)
    assert reports == []
    fetched = hub_sources(right).fetch(MODEL)
    assert (fetched.weights, read(fetched)) == ("pytorch_model.bin", {**CONFIG, "pytorch_model.bin": OTHER})
    assert len(reports) == 1
    assert "pytorch_model.bin" not in reports[0]  # it is not trusted but known


@pytest.mark.parametrize("wants", [("config", "weights"), ("weights", "config")], ids=" then ".join)
def test_an_etag_digest_and_a_sha256_of_one_file_agree(
    wants: tuple[str, ...], hub_sources: MakeSources, hub: LocalHub
) -> None:
    commit = hub.add("models", "someone/tiny", {**FILES, "pytorch_model.bin": OTHER})
    pins = {MODEL: Pin(revision=commit, files={"pytorch_model.bin": etag_pin(OTHER)})}
    for want in wants:
        hub_sources(pins).fetch(MODEL, want)


def test_the_sha256_for_an_etag_digest_is_stored_once(hub_sources: MakeSources, hub: LocalHub) -> None:
    commit = hub.add("models", "someone/tiny", {**FILES, "pytorch_model.bin": OTHER})
    pins = {MODEL: Pin(revision=commit, files={"pytorch_model.bin": etag_pin(OTHER)})}
    hub_sources(pins).fetch(MODEL)
    before = (paths.home() / "trusted.json").stat().st_mtime_ns
    hub_sources(pins).fetch(MODEL)
    assert (paths.home() / "trusted.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("locked", [True, False])
def test_locked_weights_are_preferred_to_safetensors(locked: bool, hub_sources: MakeSources, hub: LocalHub) -> None:
    commit = hub.add("models", "someone/tiny", {**FILES, "pytorch_model.bin": OTHER})
    files = {"pytorch_model.bin": pinned(OTHER)} if locked else {}
    fetched = hub_sources({MODEL: Pin(revision=commit, files=files)}).fetch(MODEL)
    assert fetched.weights == ("pytorch_model.bin" if locked else "model.safetensors")
    assert fetched.sha256 == digest(OTHER if locked else WEIGHTS)


def test_a_first_use_is_reported_once_and_stored_per_hub(
    hub_sources: MakeSources, hub: LocalHub, reports: list[str]
) -> None:
    commit = hub.repos["models", "someone/tiny"].main
    hub_sources().fetch(MODEL)
    hub_sources().fetch(MODEL)
    assert len(reports) == 1
    assert reports[0].startswith(f"{MODEL} at {commit[:12]}: trusted on first use")
    with LocalHub() as mirror:
        mirror.add("models", "someone/tiny", {**CONFIG, "model.safetensors": OTHER})
        assert read(hub_sources(at=mirror.url).fetch(MODEL))["model.safetensors"] == OTHER
        assert len(reports) == 2
    trusted = json.loads((paths.home() / "trusted.json").read_text())["endpoints"]
    assert {at: set(known) for at, known in trusted.items()} == {hub.url: {MODEL}, mirror.url: {MODEL}}
    assert trusted[hub.url][MODEL] == {
        "revision": commit,
        "files": {name: {"sha256": digest(data), "size": len(data)} for name, data in MODEL_FILES.items()},
        "wants": {"weights": ["config.json", "model.safetensors"]},
    }


def test_pins_of_the_first_use_are_enforced(
    hub_sources: MakeSources, hub: LocalHub, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = hub_sources().fetch(MODEL)
    tamper(fetched)
    assert read(hub_sources().fetch(MODEL)) == MODEL_FILES
    tamper(fetched)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with refused(IntegrityError, "model.safetensors", digest(WEIGHTS)):
        hub_sources().fetch(MODEL)
    assert (fetched.path / "model.safetensors").exists()  # nobody could bring it back
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # a Hub that has other bytes at the same commit
    repo = hub.repos["models", "someone/tiny"]
    repo.commits[repo.main] = {**CONFIG, "model.safetensors": OTHER}
    with refused(IntegrityError, "model.safetensors", digest(WEIGHTS), digest(OTHER)):
        hub_sources().fetch(MODEL)
    assert len(reports) == 1


def test_a_file_that_another_process_has_pinned_meanwhile_wins(hub_sources: MakeSources, hub: LocalHub) -> None:
    seen, other = (Pin(revision="1" * 40, files={"config.json": pinned(data)}) for data in (WEIGHTS, OTHER))
    lock = hub_sources().lock
    lock.trust(MODEL, hub.url, seen)
    with refused(IntegrityError, MODEL, "config.json", "seen before"):
        lock.trust(MODEL, hub.url, other)
    assert lock.pin(MODEL, hub.url) == seen


def test_a_commit_that_another_process_has_pinned_meanwhile_wins(hub_sources: MakeSources, hub: LocalHub) -> None:
    seen, other = (Pin(revision=commit * 40, files={"config.json": pinned(WEIGHTS)}) for commit in "12")
    lock = hub_sources().lock
    lock.trust(MODEL, hub.url, seen)
    with refused(IntegrityError, MODEL):
        lock.trust(MODEL, hub.url, other)
    assert lock.pin(MODEL, hub.url) == seen


def test_another_lock_replaces_the_committed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = {"embedded:": Pin(files={"a": pinned(b"a")}), MODEL: Pin(revision="1" * 40)}
    write_lock(tmp_path / "zoo.lock", committed)
    monkeypatch.setattr(paths, "configs", lambda: tmp_path)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    mine = {TABLES: Pin(revision="2" * 40)}
    write_lock(tmp_path / "mine.lock", mine)
    assert read_lock().pins == committed
    for name, pins in (("mine.lock", mine), ("new.lock", {})):
        lock = read_lock(tmp_path / name)
        assert lock.path == tmp_path / name
        assert lock.pins == pins
        assert lock.pin(MODEL, "http://somewhere") == Pin()


DAMAGED = [
    "", "[]", "{}", '{"sources": []}', '{"sources": {"hub:a/b": []}}', '{"sources": {"hub:a/b": {"revision": "1234"}}}',
    '{"sources": {"hub:a/b": {"files": {"x": "1"}}}}', '{"sources": {"hub:a/b": {"files": {"x": {"md5": "1"}}}}}',
    '{"sources": {"hub:a/b": {"wants": {"weights": 3}}}}', "\N{LATIN SMALL LETTER Y WITH DIAERESIS}",
    pytest.param('{"sources": {"hub:a/b": {"revision": 12}}}'),
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_lock_is_an_integrity_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "zoo.lock").write_bytes(text.encode("latin-1"))
    with refused(IntegrityError, str(tmp_path / "zoo.lock")):
        read_lock(tmp_path / "zoo.lock")


@pytest.mark.parametrize("text", ["{", '{"endpoints": []}'])
def test_a_damaged_file_of_trusted_pins_is_an_integrity_error(
    text: str, hub_sources: MakeSources, tmp_path: Path
) -> None:
    hub_sources().fetch(MODEL)
    (tmp_path / "home" / "trusted.json").write_text(text)
    with refused(IntegrityError, str(tmp_path / "home" / "trusted.json")):
        hub_sources().fetch(MODEL)


def test_the_difference_of_two_locks_has_a_line_per_change(tmp_path: Path) -> None:
    before = {
        MODEL: Pin(revision="1" * 40, files={"a": FilePin(sha256="aa", size=1), "b": FilePin(etag_sha256="bb")}),
        TABLES: Pin(revision="3" * 40),
    }
    after = {
        MODEL: Pin(revision="2" * 40, files={"a": FilePin(sha256="cc", size=1), "b": FilePin(etag_sha256="bb")}),
        "hub:someone/new": Pin(files={"c": FilePin(size=5)}),
    }
    assert difference(before, after) == [
        f"- {TABLES} revision {'3' * 40}",
        "+ hub:someone/new c size 5",
        f"- {MODEL} a sha256 aa size 1",
        f"+ {MODEL} a sha256 cc size 1",
        f"- {MODEL} revision {'1' * 40}",
        f"+ {MODEL} revision {'2' * 40}",
    ]
    assert difference(before, before) == []
    write_lock(tmp_path / "zoo.lock", after)
    assert {**read_lock(tmp_path / "zoo.lock").pins, "embedded:": Pin()} == {**after, "embedded:": Pin()}


def test_another_lock_keeps_the_pins_of_what_is_on_no_hub(tmp_path: Path) -> None:
    lock = read_lock(tmp_path / "other.lock")
    assert lock.pins == {}
    assert lock.others.keys() == {source for source in read_lock().pins if not source.startswith("hub:")}
    assert lock.locked("embedded:") == read_lock().locked("embedded:")


def test_committed_digests_of_urls_begin_with_the_prefix_in_their_name() -> None:
    pins = {source: pin for source, pin in read_lock().pins.items() if source.startswith("https://")}
    assert len([source for source in pins if "torchdistill/releases" in source]) == 17 + 2
    for source, pin in pins.items():
        for name, file in pin.files.items():
            assert source.endswith(f"/{name}")
            assert (file.sha256_prefix or str(file.sha256)[:8]) in name


def test_the_committed_lock_has_what_is_publicly_known() -> None:
    pins = read_lock(None).pins
    assert pins["hub:google-bert/bert-base-uncased"].revision == "86b5e0934494bd15c9632b12f734a8a67f723594"
    weights = [pin.files for source, pin in pins.items() if source.startswith("hub:yoshitomo-matsubara/")]
    assert len(weights) == 27
    known = [files["pytorch_model.bin"] for files in weights if files]
    assert sum(pin.sha256 is not None for pin in known) == 12
    assert sum(pin.etag_sha256 is not None for pin in known) == 2  # of two files only the digest of the digest is known
