"""Errors of the Hub and the network: retried while they can be temporary, raised by the deadline."""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

import zoo.fetch.hub
import zoo.fetch.servers
from tests.helpers.hub_client import (
    CONFIG,
    DEADLINE,
    FILES,
    MARGIN,
    MODEL,
    MODEL_FILES,
    ROWS,
    SOON,
    TABLES,
    WEIGHTS,
    MakeSources,
    blob,
    digest,
    leftovers,
    read,
    refused,
    refused_by_the_deadline,
    within,
)
from tests.helpers.hub_server import ALWAYS, LocalHub
from zoo.errors import IntegrityError, SourceError, UsageError
from zoo.fetch.hub import Hub
from zoo.fetch.hub_errors import is_not_connected
from zoo.fetch.lock import FilePin, Pin
from zoo.fetch.servers import Servers

SAFETENSORS = "GET .*model.safetensors"
HEAD = "HEAD .*model.safetensors"
FAULTS = {
    "revision 503": ("/revision/", "status", {"status": 503}),
    "revision closed": ("/revision/", "close", {}),
    "listing 503": ("/tree/", "status", {"status": 503}),
    "head 503": (HEAD, "status", {"status": 503}),
    "head closed": (HEAD, "close", {}),
    "head stalled": (HEAD, "stall", {}),
    "file 503": (SAFETENSORS, "status", {"status": 503}),
    "file closed": (SAFETENSORS, "close", {}),
    "file cut": (SAFETENSORS, "drop", {"at": 5000}),
    "file stalled": (SAFETENSORS, "stall", {"at": 5000}),
    "file truncated": (SAFETENSORS, "short", {"at": 5000}),
    "file flipped": (SAFETENSORS, "corrupt", {"at": 5000}),
    "small file flipped": ("GET .*config.json", "corrupt", {"at": 5}),
    "parquet flipped": ("GET .*train-0.parquet", "corrupt", {"at": 5000}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_that_happens_once_is_retried(
    fault: str, hub_sources: MakeSources, hub: LocalHub, tmp_path: Path
) -> None:
    pattern, action, options = FAULTS[fault]
    hub.fault(pattern, action, **options)
    sources = hub_sources(deadline=6)
    with within(3 + MARGIN):
        assert read(sources.fetch(MODEL)) == MODEL_FILES
        assert read(sources.fetch(TABLES, "data/rte")) == ROWS
    assert hub.faults[0].times == 0
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("fault", [*FAULTS, "revision stalled"])
def test_an_error_that_stays_is_raised_by_the_deadline(
    fault: str, hub_sources: MakeSources, hub: LocalHub, tmp_path: Path
) -> None:
    pattern, action, options = FAULTS.get(fault, ("/revision/", "stall", {}))
    hub.fault(pattern, action, times=ALWAYS, **options)
    source, want = (TABLES, "data/rte") if "parquet" in fault else (MODEL, "weights")
    is_silent = fault.endswith(("closed", "cut", "stalled"))
    kind, word = SourceError, "did not answer in" if is_silent else "did not serve it"
    if "flipped" in fault:
        kind, word = IntegrityError, "expected"
    name = source.split("/")[-1]
    refused_by_the_deadline(kind, name, word, fetch=lambda limit: hub_sources(deadline=limit).fetch(source, want))
    right = {*map(digest, (*FILES.values(), *ROWS.values()))}
    blobs = [path for path in (tmp_path / "cache").glob("*/blobs/*") if path.suffix != ".incomplete"]
    assert {digest(path.read_bytes()) for path in blobs} <= right
    assert not (tmp_path / "home").exists()  # nothing is trusted


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_download_resumes_or_starts_again(
    ranges: bool, hub_sources: MakeSources, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.ranges = ranges
    hub.fault(SAFETENSORS, "drop", at=5000)
    assert read(hub_sources(deadline=6).fetch(MODEL)) == MODEL_FILES
    assert [status for _, path, status in hub.requests if "/lfs/" in path] == [200, 206 if ranges else 200]


def test_a_slow_download_may_take_longer_than_the_deadline(hub_sources: MakeSources, hub: LocalHub) -> None:
    large = {**CONFIG, "model.safetensors": WEIGHTS * 32}
    hub.add("models", "someone/tiny", large)
    hub.fault(SAFETENSORS, "slow", piece=len(WEIGHTS) * 4, delay=SOON / 4)
    assert read(hub_sources(deadline=SOON).fetch(MODEL)) == large


def test_a_download_that_never_gets_further_is_given_up(
    hub_sources: MakeSources, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.ranges = False
    hub.fault(SAFETENSORS, "drop", times=ALWAYS, at=5000)
    no_longer = threading.Timer(2.5, hub.faults.clear)  # else this waits for ever
    no_longer.start()
    with refused(SourceError, "model.safetensors", seconds=2.2):
        hub_sources(deadline=1.2).fetch(MODEL)
    no_longer.cancel()


@pytest.mark.parametrize("what", ["/revision/", SAFETENSORS])
def test_a_short_retry_after_header_is_respected(what: str, hub_sources: MakeSources, hub: LocalHub) -> None:
    hub.fault(what, "status", status=429, headers={"Retry-After": "1"})
    start = time.monotonic()
    assert read(hub_sources(deadline=6).fetch(MODEL)) == MODEL_FILES
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize(
    "what",
    [
        "/revision/",
        *(pytest.param(what) for what in ("/tree/", HEAD, SAFETENSORS)),
    ],
)
def test_a_long_retry_after_header_is_an_error_by_the_deadline(
    what: str, hub_sources: MakeSources, hub: LocalHub
) -> None:
    hub.fault(what, "status", times=ALWAYS, status=429, headers={"Retry-After": "3600"})
    refused_by_the_deadline(SourceError, "429", fetch=lambda limit: hub_sources(deadline=limit).fetch(MODEL))


def test_an_error_states_the_time_that_was_really_spent(hub_sources: MakeSources, hub: LocalHub) -> None:
    hub.fault("/revision/", "status", times=ALWAYS, status=429, headers={"Retry-After": "3600"})
    with pytest.raises(SourceError) as caught:
        hub_sources(deadline=77).fetch(MODEL)
    assert "77 s" not in str(caught.value)


def test_a_wrong_etag_does_not_matter(hub_sources: MakeSources, hub: LocalHub) -> None:
    hub.fault(HEAD, "etag", times=ALWAYS, etag="0" * 64)
    assert read(hub_sources().fetch(MODEL)) == MODEL_FILES


@pytest.mark.parametrize(
    ("pattern", "times"),
    [
        pytest.param(HEAD, 1),
        pytest.param(HEAD, ALWAYS),
        pytest.param("HEAD", ALWAYS),
    ],
    ids=["once", "one file", "all files"],
)
def test_the_etag_of_another_file_never_gives_that_files_bytes(
    pattern: str, times: int, hub_sources: MakeSources, hub: LocalHub
) -> None:
    hub.fault(pattern, "etag", times=times, etag=blob(FILES["config.json"]))
    sources = hub_sources(deadline=SOON if times == ALWAYS else DEADLINE)
    config = sources.fetch(MODEL, "config")
    try:
        assert read(sources.fetch(MODEL)) == MODEL_FILES
    except IntegrityError:
        assert times == ALWAYS
    assert read(config) == CONFIG


PORTAL = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": b"<html>Please sign in</html>"}


@pytest.mark.parametrize(
    ("what", "options"),
    [
        pytest.param("/revision/", PORTAL),
        pytest.param("/tree/", PORTAL),
        (HEAD, PORTAL),
        (SAFETENSORS, PORTAL),
        pytest.param("/revision/", {"status": 200, "body": b"{}"}),
        pytest.param("/tree/", {"status": 200, "body": b'["?"]'}),
        (HEAD, {"status": 302, "headers": {"Location": "/someone/tiny/resolve/main/model.safetensors"}}),
        (HEAD, {"status": 404}),
        (HEAD, {"status": 403}),
    ],
)
def test_a_server_that_is_not_a_hub_is_a_source_error(
    what: str, options: Mapping[str, object], hub_sources: MakeSources, hub: LocalHub
) -> None:
    hub.fault(what, "status", times=ALWAYS, **options)
    with refused(SourceError, "someone/tiny", seconds=SOON + MARGIN):
        hub_sources(deadline=SOON).fetch(MODEL)


def test_an_unreachable_hub_is_waited_for_only_once(hub_sources: MakeSources) -> None:
    with LocalHub() as gone:
        pass
    sources = hub_sources(at=gone.url, deadline=1.5)  # long enough for a busy machine to be refused once
    with refused(SourceError, gone.url, "refused", seconds=1.5 + MARGIN):
        sources.fetch(MODEL)
    with refused(SourceError, gone.url, "refused", seconds=0.4):
        sources.fetch(TABLES, "data/rte")


def test_a_hub_that_accepts_no_connection_is_given_up_long_before_the_deadline(
    hub_sources: MakeSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.fetch.limits.CONNECT_DEADLINE", 0.3)
    with LocalHub() as gone:
        pass
    sources = hub_sources({MODEL: Pin(revision="1" * 40)}, at=gone.url, deadline=60)  # the library retries a listing
    with refused(SourceError, gone.url, "refused", seconds=0.3 + MARGIN):
        sources.fetch(MODEL)


def test_a_hub_that_was_there_before_is_waited_for_until_the_deadline(
    hub_sources: MakeSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other commands of a session have other objects for the Hub."""
    monkeypatch.setattr("zoo.fetch.limits.CONNECT_DEADLINE", 0.1)
    with LocalHub() as gone:
        gone.add("models", "someone/tiny", FILES)
        before = hub_sources(at=gone.url)
        before.fetch(MODEL)
    huggingface_hub.close_session()  # a connection that is kept open would be answered
    later = hub_sources(at=gone.url, deadline=1.4)  # leaves a busy machine 0.9 s for the first try
    sources, started = replace(later, servers=before.servers), time.monotonic()
    with pytest.raises(SourceError, match="refused"):
        sources.fetch(TABLES, "data/rte")
    assert time.monotonic() - started > 0.4  # a pause of 0.5 s would end after the 0.1 s


def test_a_server_that_did_not_answer_is_asked_again_after_some_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers()
    assert servers.give_up("https://a.org", "no route") == servers.give_up("https://a.org", "refused") == "no route"
    assert servers.problem("https://b.org") is None
    monkeypatch.setattr(zoo.fetch.servers, "ASK_AGAIN", 0.0)
    assert servers.problem("https://a.org") is None
    assert servers.give_up("https://a.org", "refused") == "refused"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("'[Errno 111] Connection refused'", True),
        ("[Errno -2] Name or service not known", True),
        (OSError(101, "Network is unreachable"), True),
        ("[Errno 104] Connection reset by peer", False),
        ("timed out", False),
        ("HTTP Error 503", False),
        (None, False),
    ],
)
def test_a_connection_that_was_never_made_is_recognized(error: Exception | str | None, expected: bool) -> None:
    assert is_not_connected(error) == expected


def test_nothing_is_retried_after_a_deadline_of_errors(hub_sources: MakeSources, hub: LocalHub) -> None:
    sources = hub_sources(deadline=1.2)
    hub.fault("GET .*someone", "status", times=ALWAYS, status=503)
    with refused(SourceError, "503", seconds=1.2 + MARGIN):
        sources.fetch(MODEL)
    hub.requests.clear()
    with refused(SourceError, "503", seconds=0.4):
        sources.fetch(TABLES, "data/rte")
    assert len(hub.requests) == 1


def test_an_unreachable_hub_is_named_for_a_locked_file_too(hub_sources: MakeSources) -> None:
    with LocalHub() as gone:
        pass
    locked = Pin(revision="1" * 40, files={"config.json": FilePin()}, wants={"config": ("config.json",)})
    with refused(SourceError, gone.url, "refused", seconds=SOON + MARGIN):
        hub_sources({MODEL: locked}, at=gone.url, deadline=SOON).fetch(MODEL, "config")


def test_a_listed_path_outside_of_the_repository_is_refused(hub_sources: MakeSources, hub: LocalHub) -> None:
    hub.add("datasets", "someone/evil", {"../../../x.parquet": WEIGHTS})
    with refused(SourceError, "x.parquet"):
        hub_sources().fetch("hub:datasets/someone/evil", "data")


def test_a_timeout_of_the_file_system_is_not_retried(hub_sources: MakeSources, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_time(*_: object, **__: object) -> str:
        raise TimeoutError(110, "Connection timed out")  # ETIMEDOUT: a network file system's

    sources = hub_sources(deadline=MARGIN + 0.5)
    monkeypatch.setattr(zoo.fetch.hub, "hf_hub_download", out_of_time)
    with refused(SourceError, "timed out", seconds=MARGIN):
        sources.fetch(MODEL)


def test_a_cache_that_is_not_a_folder_is_a_source_error(hub_sources: MakeSources, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with refused(SourceError, "config.json", "Not a directory"):
        hub_sources().fetch(MODEL)


def test_the_password_of_a_hub_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Hub(deadline=1)
    client.endpoint = "http://someone:secret@127.0.0.1:9"
    assert client.address == "http://127.0.0.1:9"


@pytest.mark.parametrize("seconds", ["soon", "nan", "-1", "inf"])
def test_a_deadline_must_be_a_number_of_seconds(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DEADLINE", seconds)
    with pytest.raises(UsageError, match="ZOO_DEADLINE must be a positive number of seconds"):
        Hub()
