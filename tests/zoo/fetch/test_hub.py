"""The Hub and what can go wrong with it: right bytes or one clear error, in time, and nothing of the user's token."""

import gc
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from tqdm import TMonitor

import zoo.fetch.hub
from tests.helpers.hub_server import ALWAYS, STRANGER, TOKEN, LocalHub
from tests.helpers.project import ROOT, Ended
from zoo import paths
from zoo.errors import IntegrityError, SourceError, UsageError, ZooError
from zoo.fetch.hub import Hub
from zoo.fetch.lock import FilePin, Pin, difference, read_lock, write_lock
from zoo.fetch.sources import Fetched, Sources

DEADLINE, MARGIN = 0.6, 1.4
"""Seconds; the margin is a loaded machine's."""
MODEL = "hub:someone/tiny"
WEIGHTS, OTHER = bytes(range(256)) * 64, bytes(range(255)) * 63
FILES = {"config.json": b'{"model_type": "bert"}\n', "model.safetensors": WEIGHTS, "vocab.txt": b"[PAD]\n[UNK]\n"}
TABLES = "hub:datasets/someone/tables"
ROWS = {"README.md": b"# Tables\n", "rte/test-0.parquet": OTHER, "rte/train-0.parquet": b"PAR1" + WEIGHTS}
CONFIG = {"config.json": FILES["config.json"]}
MODEL_FILES = {**CONFIG, "model.safetensors": WEIGHTS}
Make = Callable[..., Sources]
Start = Callable[..., subprocess.Popen[str]]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blob(data: bytes) -> str:
    """What git, and so the Hub, calls a small file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def pinned(data: bytes) -> FilePin:
    return FilePin(sha256=digest(data), size=len(data))


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        hub.add("models", "someone/tiny", FILES)
        hub.add("datasets", "someone/tables", ROWS)
        yield hub


@pytest.fixture
def said() -> list[str]:
    """What was said to the user."""
    return []


@pytest.fixture
def no_token_leaks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fails where a token was printed, logged, or written into a file."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield
    printed = "".join((*capfd.readouterr(), caplog.text))
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for token in {TOKEN, STRANGER, os.environ.get("HF_TOKEN", TOKEN)}:
        assert token not in printed
        assert not any(token.encode() in data for data in written)


@contextmanager
def none_left_waiting(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ends at last the requests that were left to themselves: they would be made again, and warn, in other tests."""
    before, over, sleep = set(threading.enumerate()), threading.Event(), time.sleep

    def sleep_until_it_is_over(seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():
            sleep(seconds)
        elif over.wait(seconds):
            raise InterruptedError

    monkeypatch.setattr(time, "sleep", sleep_until_it_is_over)
    yield
    over.set()
    hub.closing.set()
    huggingface_hub.close_session()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # nobody closes the connection of such a request
        waiting = [thread for thread in set(threading.enumerate()) - before if not isinstance(thread, TMonitor)]
        for thread in waiting:
            thread.join(timeout=5)
        if waiting:
            gc.collect()


@pytest.fixture
def sources(
    hub: LocalHub, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_token_leaks: None
) -> Iterator[Make]:
    """Make sources from the Hub on loopback, or another, in one cache, with a token, and with a lock of these pins."""
    # the client library reads these from its environment when it is imported
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.5)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))

    def make(pins: Mapping[str, Pin] | None = None, *, deadline: float = DEADLINE, at: str = hub.url) -> Sources:
        monkeypatch.setattr(constants, "ENDPOINT", at)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", at + "/{repo_id}/resolve/{revision}/{filename}")
        lock = tmp_path / "zoo.lock"
        write_lock(lock, pins or {})
        made = Hub(deadline=deadline)
        made.endpoint, made.cache = at, tmp_path / "cache"
        return Sources(lock=read_lock(lock), hub=made, say=said.append)

    with none_left_waiting(hub, monkeypatch):
        yield make


PROGRAM = """
import sys
from zoo.errors import ZooError
from zoo.sources import Sources

{before}
try:
    print(Sources(say=print).fetch(*sys.argv[1:]).path)
except ZooError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def start(hub: LocalHub, tmp_path: Path, no_token_leaks: None) -> Iterator[Start]:
    """Start a process that fetches, with the same cache and home as `sources`; `before` is run first."""
    started = []

    def start(*args: str, before: str = "", **env: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "ZOO_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"), "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_TELEMETRY": "1",
            **env,
        }  # fmt: skip
        command = [sys.executable, "-W", "error", "-c", PROGRAM.format(before=before), *args]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=30)
    assert TOKEN not in out + err
    return Ended(process.returncode, out, err)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@contextmanager
def refused(kind: type[ZooError], *words: str, seconds: float = DEADLINE + MARGIN) -> Iterator[None]:
    """Fails unless this error is raised in time: one line with these words, with no token, and nothing behind it."""
    with within(seconds), pytest.raises(kind) as caught:
        yield
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert "hf_" not in said
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert [word for word in words if word not in said] == [], said


def read(fetched: Fetched) -> dict[str, bytes]:
    """The files that were fetched, by their names; fails where one is not what it is said to be."""
    names = [key.removeprefix(f"{fetched.source}/") for key in fetched.files]
    found = {name: (fetched.path / name).read_bytes() for name in names}
    assert {f"{fetched.source}/{name}": digest(data) for name, data in found.items()} == fetched.files
    return found


def tamper(fetched: Fetched, name: str = "model.safetensors") -> None:
    """Change the last byte of a file in the cache."""
    path = (fetched.path / name).resolve()
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def leftovers(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache").rglob("*.incomplete"))


# what is fetched


def test_the_files_that_are_wanted_are_fetched_and_no_others(sources: Make, hub: LocalHub) -> None:
    weights = sources().fetch(MODEL)
    assert read(weights) == MODEL_FILES
    assert (weights.weights, weights.sha256) == ("model.safetensors", digest(WEIGHTS))
    assert any("/lfs/" in path for _, path, _ in hub.requests)  # where a token is refused
    assert not any("vocab.txt" in path for _, path, _ in hub.requests)
    assert read(sources().fetch(MODEL, "tokenizer")) == {**CONFIG, "vocab.txt": FILES["vocab.txt"]}
    assert read(sources().fetch(MODEL, "vocab.txt")) == {"vocab.txt": FILES["vocab.txt"]}
    assert read(sources().fetch(TABLES, "data/rte")) == ROWS


def test_weights_in_parts_come_with_their_index(sources: Make, hub: LocalHub) -> None:
    parts = {f"model-0000{part}-of-00002.safetensors": WEIGHTS[part:] for part in (1, 2)}
    files = {**CONFIG, **parts, "model.safetensors.index.json": b"{}"}
    hub.add("models", "someone/large", files)
    fetched = sources().fetch("hub:someone/large")
    assert read(fetched) == files
    assert fetched.weights == "model.safetensors.index.json"


def test_a_listing_is_read_to_its_last_page(sources: Make) -> None:
    with LocalHub(page=2) as hub:
        hub.add("datasets", "someone/tables", {**{f"a{number}.txt": b"" for number in range(5)}, **ROWS})
        assert read(sources(at=hub.url).fetch(TABLES, "data/rte")) == ROWS
        assert sum("/tree/" in path for _, path, _ in hub.requests) == 4


def test_what_a_fetch_would_download_is_told_in_bytes(sources: Make, hub: LocalHub) -> None:
    assert sources().missing(MODEL, "weights") == sum(map(len, MODEL_FILES.values()))
    commit = sources().fetch(MODEL, "config").revision
    assert sources().missing(MODEL, "weights") == len(WEIGHTS)
    assert not sources().fetch(MODEL).locked
    assert sources({MODEL: Pin(revision=commit)}).fetch(MODEL).locked
    hub.requests.clear()
    assert sources().missing(MODEL, "weights") == 0
    assert hub.requests == []


def test_progress_is_told_in_bytes(sources: Make) -> None:
    made, told = sources(), []
    made.hub.on_bytes = told.append
    made.fetch(MODEL)
    assert sum(told) == sum(map(len, MODEL_FILES.values()))


def test_no_thread_is_left_for_each_file(sources: Make) -> None:
    before = set(threading.enumerate())
    sources().fetch(MODEL)
    assert [thread for thread in set(threading.enumerate()) - before if isinstance(thread, TMonitor)] == []


def test_files_come_from_the_endpoint_of_the_hub_object(sources: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = sources()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    )
    assert read(made.fetch(MODEL)) == MODEL_FILES


# what goes wrong on the way

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
def test_what_goes_wrong_once_is_mended(fault: str, sources: Make, hub: LocalHub, tmp_path: Path) -> None:
    pattern, action, options = FAULTS[fault]
    hub.fault(pattern, action, **options)
    made = sources(deadline=6)
    with within(3 + MARGIN):
        assert read(made.fetch(MODEL)) == MODEL_FILES
        assert read(made.fetch(TABLES, "data/rte")) == ROWS
    assert hub.faults[0].times == 0
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("fault", [*FAULTS, "revision stalled"])
def test_what_stays_wrong_is_told_by_the_deadline(fault: str, sources: Make, hub: LocalHub, tmp_path: Path) -> None:
    pattern, action, options = FAULTS.get(fault, ("/revision/", "stall", {}))
    hub.fault(pattern, action, times=ALWAYS, **options)
    source, want = (TABLES, "data/rte") if "parquet" in fault else (MODEL, "weights")
    kind, word = (IntegrityError, "expected") if "flipped" in fault else (SourceError, "did not serve it")
    made = sources()
    with refused(kind, source.split("/")[-1], word):
        made.fetch(source, want)
    right = {*map(digest, (*FILES.values(), *ROWS.values()))}
    kept = [path for path in (tmp_path / "cache").glob("*/blobs/*") if path.suffix != ".incomplete"]
    assert {digest(path.read_bytes()) for path in kept} <= right
    assert not (tmp_path / "home").exists()  # nothing is trusted


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_body_is_gone_on_with_or_begun_anew(
    ranges: bool, sources: Make, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.ranges = ranges
    hub.fault(SAFETENSORS, "drop", at=5000)
    assert read(sources(deadline=6).fetch(MODEL)) == MODEL_FILES
    assert [status for _, path, status in hub.requests if "/lfs/" in path] == [200, 206 if ranges else 200]


def test_a_slow_file_is_waited_for_while_bytes_come(sources: Make, hub: LocalHub) -> None:
    large = {**CONFIG, "model.safetensors": WEIGHTS * 32}
    hub.add("models", "someone/tiny", large)
    hub.fault(SAFETENSORS, "slow", piece=len(WEIGHTS) * 4, delay=DEADLINE / 4)
    assert read(sources().fetch(MODEL)) == large


def test_a_file_that_is_cut_at_the_same_byte_for_ever_is_given_up(
    sources: Make, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.ranges = False
    hub.fault(SAFETENSORS, "drop", times=ALWAYS, at=5000)
    no_longer = threading.Timer(2.5, hub.faults.clear)  # else this waits for ever
    no_longer.start()
    with refused(SourceError, "model.safetensors", seconds=2.2):
        sources(deadline=1.2).fetch(MODEL)
    no_longer.cancel()


@pytest.mark.parametrize("what", ["/revision/", SAFETENSORS])
def test_a_short_retry_after_is_honoured(what: str, sources: Make, hub: LocalHub) -> None:
    hub.fault(what, "status", status=429, headers={"Retry-After": "1"})
    start = time.monotonic()
    assert read(sources(deadline=6).fetch(MODEL)) == MODEL_FILES
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize(
    "what",
    [
        "/revision/",
        *(pytest.param(what) for what in ("/tree/", HEAD, SAFETENSORS)),
    ],
)
def test_a_long_retry_after_is_told_by_the_deadline(what: str, sources: Make, hub: LocalHub) -> None:
    hub.fault(what, "status", times=ALWAYS, status=429, headers={"Retry-After": "3600"})
    with refused(SourceError, "429"):
        sources().fetch(MODEL)


def test_what_is_given_up_at_once_is_not_said_to_have_been_tried_for_long(sources: Make, hub: LocalHub) -> None:
    hub.fault("/revision/", "status", times=ALWAYS, status=429, headers={"Retry-After": "3600"})
    with pytest.raises(SourceError) as caught:
        sources(deadline=77).fetch(MODEL)
    assert "77 s" not in str(caught.value)


def test_a_wrong_etag_gives_the_right_file(sources: Make, hub: LocalHub) -> None:
    hub.fault(HEAD, "etag", times=ALWAYS, etag="0" * 64)
    assert read(sources().fetch(MODEL)) == MODEL_FILES


@pytest.mark.parametrize(
    ("pattern", "times"),
    [
        pytest.param(HEAD, 1),
        pytest.param(HEAD, ALWAYS),
        pytest.param("HEAD", ALWAYS),
    ],
    ids=["once", "one file", "all files"],
)
def test_an_etag_of_another_file_never_gives_that_files_bytes(
    pattern: str, times: int, sources: Make, hub: LocalHub
) -> None:
    hub.fault(pattern, "etag", times=times, etag=blob(FILES["config.json"]))
    made = sources()
    config = made.fetch(MODEL, "config")
    try:
        assert read(made.fetch(MODEL)) == MODEL_FILES
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
def test_what_does_not_answer_as_a_hub_does_is_a_source_error(
    what: str, options: Mapping[str, object], sources: Make, hub: LocalHub
) -> None:
    hub.fault(what, "status", times=ALWAYS, **options)
    with refused(SourceError, "someone/tiny"):
        sources().fetch(MODEL)


def test_a_listed_file_outside_of_its_repository_is_refused(sources: Make, hub: LocalHub) -> None:
    hub.add("datasets", "someone/evil", {"../../../x.parquet": WEIGHTS})
    with refused(SourceError, "x.parquet"):
        sources().fetch("hub:datasets/someone/evil", "data")


def test_a_timeout_of_the_file_system_is_told_at_once(sources: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_time(*_: object, **__: object) -> str:
        raise TimeoutError(110, "Connection timed out")  # ETIMEDOUT: a network file system's

    made = sources(deadline=MARGIN + 0.5)
    monkeypatch.setattr(zoo.fetch.hub, "hf_hub_download", out_of_time)
    with refused(SourceError, "timed out", seconds=MARGIN):
        made.fetch(MODEL)


def test_a_cache_that_is_no_folder_is_a_source_error(sources: Make, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with refused(SourceError, "config.json", "Not a directory"):
        sources().fetch(MODEL)


# who is asking


def test_a_token_that_the_hub_does_not_know_is_told(sources: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong789")
    with refused(SourceError, "someone/tiny", "refuses the token", "HF_TOKEN", "401"):
        sources().fetch(MODEL)


@pytest.mark.parametrize(
    ("token", "words"), [("hf_wrong789", "refuses the token"), (STRANGER, "is gated"), (None, "is gated")]
)
def test_a_gated_repository_is_refused_to_whom_it_does_not_know(
    token: str | None, words: str, sources: Make, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("models", "someone/gated", FILES, gated=True)
    assert read(sources().fetch("hub:someone/gated", "config")) == CONFIG
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    with refused(SourceError, "someone/gated", words, "HF_TOKEN"):
        sources().fetch("hub:someone/gated")


@pytest.mark.parametrize("token", [STRANGER, None])
def test_a_private_repository_is_none_to_others(
    token: str | None, sources: Make, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("models", "someone/private", FILES, private=True)
    assert read(sources().fetch("hub:someone/private", "config")) == CONFIG
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    with refused(SourceError, "someone/private", "no such model repository", "private"):
        sources().fetch("hub:someone/private")


def test_a_token_that_no_header_can_hold_is_refused(sources: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_s\u00e9cret123")
    with refused(SourceError, "someone/tiny"):
        sources().fetch(MODEL)


def test_what_is_not_there_is_told_by_name(sources: Make, hub: LocalHub) -> None:
    with refused(SourceError, "someone/gone", "no such model repository"):
        sources().fetch("hub:someone/gone")
    with refused(SourceError, "someone/tables", "no such model repository"):
        sources().fetch("hub:someone/tables")
    with refused(SourceError, "someone/tiny", "revision v2", "--lock"):
        sources().fetch(f"{MODEL}@v2")
    with refused(SourceError, "someone/tiny", "0" * 40, "--lock"):
        sources().fetch(f"{MODEL}@{'0' * 40}")
    with refused(SourceError, "'tokenizer.model'", "vocab.txt"):
        sources().fetch(MODEL, "tokenizer.model")
    with refused(SourceError, "'rtf'", "did you mean rte?"):
        sources().fetch(TABLES, "data/rtf")
    locked = Pin(
        revision=hub.add("models", "someone/tiny", CONFIG), files={"a.txt": pinned(b"")}, wants={"a": ("a.txt",)}
    )
    with refused(SourceError, "someone/tiny", "a.txt", "at that commit"):
        sources({MODEL: locked}).fetch(MODEL, "a")


@pytest.mark.parametrize("source", ["hub:tiny", "hub:a/b/c", "hub:/b", "hub:datasets/b", "hub:a b/c", "hub:a/b--c"])
def test_what_names_no_repository_is_a_usage_error(source: str, sources: Make, hub: LocalHub) -> None:
    with refused(UsageError, source.removeprefix("hub:").removeprefix("datasets/")):
        sources().fetch(source)
    assert hub.requests == []


# no Hub, or none to be asked


def test_where_there_is_no_hub_it_is_told_once_by_the_deadline(sources: Make) -> None:
    with LocalHub() as gone:
        pass
    made = sources(at=gone.url)
    with refused(SourceError, gone.url, "refused"):
        made.fetch(MODEL)
    with refused(SourceError, gone.url, "refused", seconds=0.4):
        made.fetch(TABLES, "data/rte")


def test_after_a_deadline_of_refusals_nothing_is_asked_twice(sources: Make, hub: LocalHub) -> None:
    made = sources()
    hub.fault("GET .*someone", "status", times=ALWAYS, status=503)
    with refused(SourceError, "503"):
        made.fetch(MODEL)
    hub.requests.clear()
    with refused(SourceError, "503", seconds=0.4):
        made.fetch(TABLES, "data/rte")
    assert len(hub.requests) == 1


def test_where_there_is_no_hub_for_a_locked_file_the_reason_is_told(sources: Make) -> None:
    with LocalHub() as gone:
        pass
    locked = Pin(revision="1" * 40, files={"config.json": FilePin()}, wants={"config": ("config.json",)})
    with refused(SourceError, gone.url, "refused"):
        sources({MODEL: locked}, at=gone.url).fetch(MODEL, "config")


def test_what_is_in_the_cache_is_not_asked_for(sources: Make, hub: LocalHub, start: Start) -> None:
    asked = [(MODEL, "weights"), (MODEL, "tokenizer"), (TABLES, "data/rte")]
    for source, want in asked:
        sources().fetch(source, want)
    hub.requests.clear()
    trusted = paths.home() / "trusted.json"
    before = trusted.stat().st_mtime_ns
    made = sources()
    assert [read(made.fetch(source, want)) for source, want in asked[::2]] == [MODEL_FILES, ROWS]
    again = ended(start(MODEL))
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


def test_offline_the_cache_is_enough_and_what_is_not_in_it_is_told(sources: Make, hub: LocalHub, start: Start) -> None:
    fetched = sources().fetch(MODEL)
    tamper(sources().fetch(TABLES, "data/rte"), "rte/train-0.parquet")
    hub.requests.clear()
    asked = [(MODEL,), (TABLES, "data/rte"), (MODEL, "tokenizer"), ("hub:someone/else",)]
    processes = [start(*args, before=NO_SOCKETS, HF_HUB_OFFLINE="1") for args in asked]
    there, wrong, *missing = map(ended, processes)
    assert (there.code, there.out.strip(), there.err) == (0, str(fetched.path), "")
    assert (wrong.code, len(wrong.lines)) == (5, 1)
    for told in missing:
        assert (told.code, len(told.lines)) == (4, 1)
        assert "HF_HUB_OFFLINE" in told.err
        assert "zoo fetch" in told.err
    assert hub.requests == []


# more than one process, and ones that end


FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"


def test_a_full_disk_is_told_and_leaves_nothing_behind(start: Start, sources: Make, tmp_path: Path) -> None:
    full = ended(start(MODEL, before=FULL.format(limit=8000)))
    assert full.code == 4
    assert full.lines == [f"someone/tiny: model.safetensors: the disk is full: {tmp_path / 'cache'}"]
    assert leftovers(tmp_path) == []
    assert read(sources().fetch(MODEL)) == MODEL_FILES


def test_a_disk_too_full_for_the_lock_is_told_and_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    full = ended(start(MODEL, "config", before=FULL.format(limit=256)))
    assert full.code == 4
    assert full.lines == [f"{tmp_path / 'home' / 'trusted.json'}: cannot write there: File too large"]
    assert [path.name for path in (tmp_path / "home").iterdir() if "partial" in path.name] == []


def test_what_a_killed_download_leaves_is_swept(start: Start, sources: Make, hub: LocalHub, tmp_path: Path) -> None:
    hub.fault(SAFETENSORS, "stall", at=5000)
    process = start(MODEL)
    with within(20):
        while not any("/lfs/" in path for _, path, _ in hub.requests):
            time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(leftovers(tmp_path)) == 1
    assert read(sources().fetch(MODEL)) == MODEL_FILES
    assert leftovers(tmp_path) == []


def test_what_somebody_else_is_downloading_is_left_alone(
    start: Start, sources: Make, hub: LocalHub, tmp_path: Path
) -> None:
    hub.fault(SAFETENSORS, "slow", piece=8192, delay=1)
    process = start(MODEL)
    with within(20):
        while not any("/lfs/" in path for _, path, _ in hub.requests):
            time.sleep(0.02)
    assert read(sources().fetch(MODEL, "config")) == CONFIG
    with refused(SourceError, "model.safetensors"):  # nor waited for beyond the deadline
        sources().fetch(MODEL)
    assert len(leftovers(tmp_path)) == 1
    assert ended(process).code == 0
    assert leftovers(tmp_path) == []


def test_six_processes_at_once_fill_one_right_cache(start: Start, sources: Make, hub: LocalHub, tmp_path: Path) -> None:
    hub.fault(SAFETENSORS, "slow", times=ALWAYS, piece=4096, delay=0.2)
    all_ended = [ended(process) for process in [start(MODEL) for _ in range(6)]]
    assert [(one.code, one.err) for one in all_ended] == [(0, "")] * 6
    (folder,) = {one.out.splitlines()[-1] for one in all_ended}
    assert {path.name: path.read_bytes() for path in Path(folder).iterdir()} == MODEL_FILES
    assert sum("/lfs/" in path for _, path, _ in hub.requests) == 1
    assert leftovers(tmp_path) == []
    hub.requests.clear()
    assert read(sources().fetch(MODEL)) == MODEL_FILES
    assert hub.requests == []


# the lock


def test_the_locked_commit_is_read_wherever_main_is(sources: Make, hub: LocalHub) -> None:
    old = hub.repos["models", "someone/tiny"].main
    new = hub.add("models", "someone/tiny", {**FILES, "model.safetensors": OTHER})
    for pins in ({MODEL: Pin(revision=old)}, {}):  # the second time it is what this machine has seen
        assert read(sources(pins).fetch(MODEL)) == MODEL_FILES
        assert not any(new in path or "/revision/" in path for _, path, _ in hub.requests)
    moved = sources({MODEL: Pin(revision=new)})  # a lock's word counts before what this machine has seen
    assert read(moved.fetch(MODEL))["model.safetensors"] == OTHER


def test_main_that_moved_after_its_first_use_is_not_followed(sources: Make, hub: LocalHub) -> None:
    sources().fetch(MODEL, "config")
    hub.add("models", "someone/tiny", {"config.json": b"{}", "model.safetensors": OTHER})
    assert read(sources().fetch(MODEL)) == MODEL_FILES


def test_bytes_of_another_commit_are_never_used(sources: Make, hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    sources().fetch(MODEL)
    new = hub.add("models", "someone/tiny", {**FILES, "model.safetensors": OTHER})
    hub.fault("someone/tiny", "status", times=ALWAYS, status=503)
    with refused(SourceError, "someone/tiny"):
        sources({MODEL: Pin(revision=new)}).fetch(MODEL)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with refused(SourceError, "zoo fetch"):
        sources({MODEL: Pin(revision=new)}).fetch(MODEL)


def test_a_locked_digest_counts_before_what_the_hub_lists(sources: Make, hub: LocalHub, said: list[str]) -> None:
    commit = hub.repos["models", "someone/tiny"].main
    locked = {"config.json": pinned(FILES["config.json"]), "model.safetensors": pinned(OTHER)}
    with refused(IntegrityError, "someone/tiny", "model.safetensors", digest(OTHER), digest(WEIGHTS)):
        sources({MODEL: Pin(revision=commit, files=locked)}).fetch(MODEL)
    locked["model.safetensors"] = pinned(WEIGHTS)
    assert read(sources({MODEL: Pin(revision=commit, files=locked)}).fetch(MODEL)) == MODEL_FILES
    assert said == []


def etag_pin(data: bytes) -> FilePin:
    return FilePin(etag_sha256=digest(f'"{digest(data)}"'.encode()))


def test_a_locked_digest_of_the_digest_pins_the_file(sources: Make, hub: LocalHub, said: list[str]) -> None:
    """Only the SHA-256 of the quoted SHA-256 is public of some files; and such a file is the one that is read."""
    commit = hub.add("models", "someone/tiny", {**FILES, "pytorch_model.bin": OTHER})
    wrong, right = ({MODEL: Pin(revision=commit, files={"pytorch_model.bin": etag_pin(of)})} for of in (WEIGHTS, OTHER))
    with refused(IntegrityError, "pytorch_model.bin", digest(OTHER)):
        sources(wrong).fetch(MODEL)
    assert said == []
    fetched = sources(right).fetch(MODEL)
    assert (fetched.weights, read(fetched)) == ("pytorch_model.bin", {**CONFIG, "pytorch_model.bin": OTHER})
    assert len(said) == 1
    assert "pytorch_model.bin" not in said[0]  # it is not trusted but known


@pytest.mark.parametrize("wants", [("config", "weights"), ("weights", "config")], ids=" then ".join)
def test_what_is_known_of_a_file_in_two_ways_agrees(wants: tuple[str, ...], sources: Make, hub: LocalHub) -> None:
    commit = hub.add("models", "someone/tiny", {**FILES, "pytorch_model.bin": OTHER})
    pins = {MODEL: Pin(revision=commit, files={"pytorch_model.bin": etag_pin(OTHER)})}
    for want in wants:
        sources(pins).fetch(MODEL, want)


def test_what_is_known_by_the_digest_of_its_digest_is_written_down_once(sources: Make, hub: LocalHub) -> None:
    commit = hub.add("models", "someone/tiny", {**FILES, "pytorch_model.bin": OTHER})
    pins = {MODEL: Pin(revision=commit, files={"pytorch_model.bin": etag_pin(OTHER)})}
    sources(pins).fetch(MODEL)
    before = (paths.home() / "trusted.json").stat().st_mtime_ns
    sources(pins).fetch(MODEL)
    assert (paths.home() / "trusted.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("locked", [True, False])
def test_weights_whose_digest_is_locked_are_taken_before_safetensors(
    locked: bool, sources: Make, hub: LocalHub
) -> None:
    commit = hub.add("models", "someone/tiny", {**FILES, "pytorch_model.bin": OTHER})
    files = {"pytorch_model.bin": pinned(OTHER)} if locked else {}
    fetched = sources({MODEL: Pin(revision=commit, files=files)}).fetch(MODEL)
    assert fetched.weights == ("pytorch_model.bin" if locked else "model.safetensors")
    assert fetched.sha256 == digest(OTHER if locked else WEIGHTS)


def test_what_is_new_is_trusted_once_and_kept_by_its_hub(sources: Make, hub: LocalHub, said: list[str]) -> None:
    commit = hub.repos["models", "someone/tiny"].main
    sources().fetch(MODEL)
    sources().fetch(MODEL)
    assert len(said) == 1
    assert said[0].startswith(f"{MODEL} at {commit[:12]}: trusted on first use")
    with LocalHub() as mirror:
        mirror.add("models", "someone/tiny", {**CONFIG, "model.safetensors": OTHER})
        assert read(sources(at=mirror.url).fetch(MODEL))["model.safetensors"] == OTHER
        assert len(said) == 2
    trusted = json.loads((paths.home() / "trusted.json").read_text())["endpoints"]
    assert {at: set(known) for at, known in trusted.items()} == {hub.url: {MODEL}, mirror.url: {MODEL}}
    assert trusted[hub.url][MODEL] == {
        "revision": commit,
        "files": {name: {"sha256": digest(data), "size": len(data)} for name, data in MODEL_FILES.items()},
        "wants": {"weights": ["config.json", "model.safetensors"]},
    }


def test_what_was_trusted_is_enforced(
    sources: Make, hub: LocalHub, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = sources().fetch(MODEL)
    tamper(fetched)
    assert read(sources().fetch(MODEL)) == MODEL_FILES
    tamper(fetched)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with refused(IntegrityError, "model.safetensors", digest(WEIGHTS)):
        sources().fetch(MODEL)
    assert (fetched.path / "model.safetensors").exists()  # nobody could bring it back
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # a Hub that has other bytes at the same commit
    repo = hub.repos["models", "someone/tiny"]
    repo.commits[repo.main] = {**CONFIG, "model.safetensors": OTHER}
    with refused(IntegrityError, "model.safetensors", digest(WEIGHTS), digest(OTHER)):
        sources().fetch(MODEL)
    assert len(said) == 1


def test_what_another_process_saw_meanwhile_is_kept(sources: Make, hub: LocalHub) -> None:
    seen, other = (Pin(revision="1" * 40, files={"config.json": pinned(data)}) for data in (WEIGHTS, OTHER))
    lock = sources().lock
    lock.trust(MODEL, hub.url, seen)
    with refused(IntegrityError, MODEL, "config.json", "seen before"):
        lock.trust(MODEL, hub.url, other)
    assert lock.pin(MODEL, hub.url) == seen


def test_the_commit_that_another_process_saw_meanwhile_is_kept(sources: Make, hub: LocalHub) -> None:
    seen, other = (Pin(revision=commit * 40, files={"config.json": pinned(WEIGHTS)}) for commit in "12")
    lock = sources().lock
    lock.trust(MODEL, hub.url, seen)
    with refused(IntegrityError, MODEL):
        lock.trust(MODEL, hub.url, other)
    assert lock.pin(MODEL, hub.url) == seen


def test_a_lock_in_another_file_replaces_the_committed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_damaged_file_of_what_was_trusted_is_an_integrity_error(text: str, sources: Make, tmp_path: Path) -> None:
    sources().fetch(MODEL)
    (tmp_path / "home" / "trusted.json").write_text(text)
    with refused(IntegrityError, str(tmp_path / "home" / "trusted.json")):
        sources().fetch(MODEL)


def test_what_an_update_changes_is_shown_line_by_line(tmp_path: Path) -> None:
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
