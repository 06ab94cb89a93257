"""Files by URL: downloaded, verified against the lock, or found in a mirror; and faults of servers."""

import gc
import hashlib
import re
import socket
import time
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import constants

from tests.helpers.hub_client import MARGIN, SOON
from tests.helpers.hub_server import LocalHub
from tests.helpers.plain_server import DATA, SHA, MakeUrlSources, pinned, raise_disk_full
from tests.helpers.project import Write, Zoo
from zoo.errors import IntegrityError, SourceError, UnreachableError, UsageError
from zoo.fetch.lock import FilePin, Pin, read_lock
from zoo.fetch.source_types import parse_source
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue, locking, prefetch
from zoo.recipes.build import Builder


def test_a_file_is_downloaded_once_and_trusted_on_first_use(
    url: str, server: LocalHub, url_sources: MakeUrlSources
) -> None:
    reports: list[str] = []
    first = url_sources()
    first.report = reports.append
    fetched = first.fetch(url)
    assert (fetched.path.read_bytes(), fetched.sha256, fetched.files) == (DATA, SHA, {url: SHA})
    assert reports == [f"{url}: trusted on first use"]
    assert url_sources().fetch(url).path == fetched.path
    assert [method for method, *_ in server.requests] == ["GET"]
    assert first.pinned_by(url) == "first use"


def test_the_sha256_of_the_first_download_is_enforced(url: str, server: LocalHub, url_sources: MakeUrlSources) -> None:
    url_sources().fetch(url).path.unlink()
    server.plain["weights.pt"] = DATA[::-1]
    try:
        with pytest.raises(IntegrityError, match=f"expected sha256 {SHA}, found sha256 "):
            url_sources().fetch(url)
    finally:
        server.plain["weights.pt"] = DATA


@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        ({"sha256": SHA, "size": len(DATA)}, None),
        ({"sha256_prefix": SHA[:8]}, None),
        ({"sha256": "0" * 64}, f"sha256 {'0' * 64}"),
        ({"sha256_prefix": "00000000"}, "a sha256 that begins with 00000000"),
        ({"size": 7}, "7 bytes"),
    ],
)
def test_a_download_must_fit_the_lock(
    pin: dict[str, object], expected: str | None, url: str, url_sources: MakeUrlSources
) -> None:
    sources = url_sources(pinned(url, **pin))
    if expected is None:
        assert sources.fetch(url).locked == ("sha256" in pin)
        assert sources.pinned_by(url) == ("lock" if "sha256" in pin else "first use")
    else:
        with pytest.raises(IntegrityError, match=f"expected {expected}, found sha256 {SHA}"):
            sources.fetch(url)


FAULTS: dict[str, tuple[str, dict[str, object]]] = {
    "503": ("status", {"status": 503}),
    "429": ("status", {"status": 429, "headers": {"Retry-After": "1"}}),
    "closed": ("close", {}),
    "cut": ("drop", {"at": 70_000}),
    "one byte": ("corrupt", {"at": 3}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_temporary_error_is_retried(fault: str, url: str, server: LocalHub, url_sources: MakeUrlSources) -> None:
    action, options = FAULTS[fault]
    server.fault("GET /plain", action, **options)  # type: ignore[arg-type]
    counted = 0

    def moved(length: int) -> None:
        nonlocal counted
        counted += length

    sources = url_sources(pinned(url, sha256=SHA))
    sources.urls.on_bytes = moved
    assert sources.fetch(url).path.read_bytes() == DATA
    assert counted == len(DATA) * (2 if fault == "one byte" else 1)  # what is begun anew brings no new byte


STAYS: dict[str, tuple[str, dict[str, object], str]] = {
    "503": ("status", {"status": 503}, "status 503"),
    "404": ("status", {"status": 404}, "status 404"),
    "403": ("status", {"status": 403}, "status 403"),
    "silent": ("stall", {}, "no byte came in time|ConnectionError"),
    "stalled": ("stall", {"at": 70_000}, "no byte came in time|ConnectionError"),
    "closed": ("close", {}, "ConnectionError"),
}


@pytest.mark.parametrize("fault", STAYS)
def test_a_lasting_error_is_raised_by_the_deadline(
    fault: str, url: str, server: LocalHub, url_sources: MakeUrlSources
) -> None:
    action, options, message = STAYS[fault]
    server.fault("GET /plain", action, times=100, **options)  # type: ignore[arg-type]
    tried = "http://127.0.0.1:[0-9]+ did not (serve it|answer) in [0-9.]+ s"
    with pytest.raises(SourceError, match=f"weights.pt: {tried}: ({message})") as raised:
        url_sources(deadline=SOON).fetch(url)
    assert float(re.findall(r" in ([0-9.]+) s", str(raised.value))[0]) < SOON + MARGIN
    folder = url_sources().lock.trust_file.parent / "downloads"
    assert not list(folder.iterdir())
    assert url_sources().known_pin(url) == Pin()


def test_an_unreachable_server_is_waited_for_only_once(url_sources: MakeUrlSources) -> None:
    sources = url_sources(deadline=SOON)
    for name in ("one.pt", "two.pt"):
        with pytest.raises(SourceError, match=r"did not (serve it|answer) in"):
            sources.fetch(f"http://127.0.0.1:9/{name}")
    assert len(sources.servers.given_up) == 1


def test_a_server_that_accepts_no_connection_is_given_up_long_before_the_deadline(
    url_sources: MakeUrlSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.fetch.limits.CONNECT_DEADLINE", 0.2)
    sources, started = url_sources(deadline=60), time.monotonic()
    for name, reason in (
        ("one", "Failed to establish a new connection"),
        ("two", "http://127.0.0.1:9 did not answer"),
    ):
        with pytest.raises(UnreachableError) as raised:
            sources.fetch(f"http://127.0.0.1:9/{name}.pt")
        assert reason in f"{raised.value} {raised.value.reason}"
    assert time.monotonic() - started < 5


def half_a_file() -> tuple[str, Thread]:
    """Start a server that sends half of a file, and then accepts no connection; return the URL of the file."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            listener.close()
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA) + DATA[: len(DATA) // 2])

    server = Thread(target=serve)
    server.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/weights.pt", server


def test_a_server_that_sent_half_of_a_file_is_waited_for_until_the_deadline(
    url_sources: MakeUrlSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.fetch.limits.CONNECT_DEADLINE", 0.1)
    url, server = half_a_file()
    sources, started = url_sources(deadline=2.0), time.monotonic()
    with pytest.raises(SourceError, match=r"did not (serve it|answer) in") as raised:
        sources.fetch(url)
    server.join()
    assert not isinstance(raised.value, UnreachableError)
    assert time.monotonic() - started > 0.9  # after a first pause of 0.5 s there is a second try


def test_a_server_of_errors_alone_is_waited_for_only_once(
    url: str, server: LocalHub, url_sources: MakeUrlSources
) -> None:
    sources = url_sources(deadline=SOON)
    server.fault("GET /plain", "status", times=100, status=503)
    with pytest.raises(SourceError, match="status 503"):
        sources.fetch(url)
    server.requests.clear()
    with pytest.raises(SourceError, match="status 503"):
        sources.fetch(url.replace("weights", "others"))
    assert len(server.requests) == 1
    server.faults.clear()
    assert sources.fetch(url).path.read_bytes() == DATA


def test_offline_no_request_is_sent(
    url: str, server: LocalHub, url_sources: MakeUrlSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match="HF_HUB_OFFLINE is set"):
        url_sources().fetch(url)
    assert not server.requests


def test_a_full_disk_is_reported(url: str, url_sources: MakeUrlSources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", raise_disk_full)
    with pytest.raises(SourceError, match="No space left on device"):
        url_sources().fetch(url)


NO_URLS = ["https://", "https://host", "http://example.com/x.pt", "'https://[x/y.pt'", "https://host/x.pt#y",
           "https://host/x.zip#", "https://host/#x.zip"]  # fmt: skip


@pytest.mark.parametrize("written", NO_URLS)
def test_a_malformed_url_is_a_problem_of_the_recipe(written: str, zoo: Zoo, recipe_file: Write) -> None:
    with pytest.raises(UsageError):
        parse_source(written.strip("'"))
    completed = zoo("check", recipe_file(recipe_file().read_text() + f"weights: {written}\n"))
    assert (completed.code, len(completed.lines)) == (2, 1)


def test_a_locked_file_comes_from_the_mirror_whatever_its_name(
    url: str, server: LocalHub, url_sources: MakeUrlSources, tmp_path: Path
) -> None:
    folder = tmp_path / "mirror" / "deep"
    folder.mkdir(parents=True)
    (folder / "under another name").write_bytes(DATA)
    (folder / "weights.pt").write_bytes(b"x" * len(DATA))
    sources = url_sources(pinned(url, sha256=SHA, size=len(DATA)), tmp_path / "mirror")
    assert sources.download_size(url, "weights") == 0
    assert sources.fetch(url).path == folder / "under another name"
    assert not server.requests
    unknown = url_sources(mirror=tmp_path / "mirror")
    assert unknown.download_size(url, "weights") == len(DATA)
    assert unknown.fetch(url).path.parent.name == "downloads"


def test_files_of_a_repository_come_from_the_mirror(
    server: LocalHub, url_sources: MakeUrlSources, tmp_path: Path
) -> None:
    files = {"config.json": b"{}", "model.safetensors": b"weights"}
    commit = server.add("models", "someone/mirrored", files)
    (tmp_path / "mirror").mkdir()
    for number, content in enumerate(files.values()):
        (tmp_path / "mirror" / str(number)).write_bytes(content)
    pins = {name: FilePin(sha256=hashlib.sha256(content).hexdigest()) for name, content in files.items()}
    pin = Pin(revision=commit, files=pins, wants={"weights": tuple(files)})
    sources = url_sources({"hub:someone/mirrored": pin}, tmp_path / "mirror")
    sources.hub.endpoint = "http://127.0.0.1:9"
    fetched = sources.fetch("hub:someone/mirrored")
    assert (fetched.path / "model.safetensors").read_bytes() == b"weights"
    assert fetched.locked


def test_weights_from_the_mirror_are_not_taken_for_weights_without_a_configuration(
    url_sources: MakeUrlSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "any").write_bytes(DATA)
    pin = Pin(revision="1" * 40, files={"pytorch_model.bin": FilePin(sha256=SHA, size=len(DATA))})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match=r"config\.json"):
        url_sources({"hub:someone/tiny": pin}, tmp_path / "mirror").fetch("hub:someone/tiny")


def test_a_file_in_the_mirror_is_never_removed(url: str, url_sources: MakeUrlSources, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "mine").write_bytes(DATA)
    sources = url_sources(pinned(url, sha256=SHA, sha256_prefix="00000000"), tmp_path / "mirror")
    with pytest.raises(IntegrityError, match="begins with 00000000"):
        sources.fetch(url)
    assert (tmp_path / "mirror" / "mine").read_bytes() == DATA


def test_a_mirror_that_does_not_exist_is_reported(zoo: Zoo) -> None:
    completed = zoo("reproduce", "akamaster-resnet20-cifar10", "--mirror", "nowhere")
    assert completed.code == 4
    assert "nowhere: the mirror is not a folder" in completed.err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a socket stays open
def test_a_download_is_given_up_when_it_is_interrupted(url: str, server: LocalHub, url_sources: MakeUrlSources) -> None:
    server.fault("GET /plain", "slow", piece=70_000, delay=0.2)
    sources = url_sources()
    sources.urls.on_bytes = lambda _: setattr(sources.urls, "stopped", True)
    with pytest.raises(SourceError, match="interrupted"):
        sources.fetch(url)
    gc.collect()


def test_a_lock_is_updated_from_the_server_and_not_from_old_downloads(
    url: str, server: LocalHub, zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "other.lock"))
    path = recipe_file(recipe_file().read_text() + f"weights: {url}\n")
    assert zoo("fetch", path).code == 0
    (download,) = (tmp_path / "home" / "downloads").iterdir()
    download.write_bytes(b"damaged")
    assert SHA in zoo("lock", "--update", path).out
    assert f'"sha256": "{SHA}"' in (tmp_path / "other.lock").read_text()


def test_urls_are_locked_and_fetched(
    url: str, zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file(recipe_file().read_text() + f"weights: {url}\n")
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "other.lock"))
    fetched = zoo("fetch", path)
    assert (fetched.code, "first use" in fetched.out) == (0, True), fetched.err
    assert f"+ {url} weights.pt sha256 {SHA} size {len(DATA)}" in zoo("lock", "--update", path).out
    shown = zoo("lock", path).out.splitlines()
    assert any(url in line and line.rstrip().endswith("lock") for line in shown)
    assert read_lock(tmp_path / "other.lock").pins.keys() == {url}
    checked = Builder(sources=Sources(lock=read_lock(tmp_path / "other.lock")))
    needed, errors = prefetch.needs_of_all([catalogue.local(path)], checked, train=True)
    assert (locking.lock_problems(needed, checked), errors) == ([], [])
    (problem,) = locking.lock_problems([], checked)
    assert problem.endswith(f"{url} is in the lock and named by no recipe")
