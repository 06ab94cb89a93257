"""Fixtures: sources that read from a Hub, from a plain server, or from the GLUE Hub, all on loopback."""

import gc
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from tqdm import TMonitor

from tests.helpers.glue_hub import fill_hub, use_hub
from tests.helpers.hub_client import DEADLINE, FILES, PROGRAM, ROWS, MakeSources, StartFetch
from tests.helpers.hub_server import STRANGER, TOKEN, LocalHub
from tests.helpers.plain_server import DATA, MakeUrlSources
from tests.helpers.project import ROOT, Zoo
from zoo.fetch.hub import Hub
from zoo.fetch.lock import Lock, Pin, read_lock, write_lock
from zoo.fetch.mirror import Mirror
from zoo.fetch.sources import Sources


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """A Hub with a small model and a small data set."""
    with LocalHub() as hub:
        hub.add("models", "someone/tiny", FILES)
        hub.add("datasets", "someone/tables", ROWS)
        yield hub


@pytest.fixture
def reports() -> list[str]:
    """The messages that were reported to the user."""
    return []


@pytest.fixture
def no_token_leaks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Set a token, and fail if it was printed, logged, or written into a file."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield
    printed = "".join((*capfd.readouterr(), caplog.text))
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for token in {TOKEN, STRANGER, os.environ.get("HF_TOKEN", TOKEN)}:
        assert token not in printed
        assert not any(token.encode() in data for data in written)


@contextmanager
def abandoned_requests_ended(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End the requests that were abandoned in their threads: they would be retried, and warn, during other tests."""
    before, over, sleep = set(threading.enumerate()), threading.Event(), time.sleep

    def sleep_until_over(seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():
            sleep(seconds)
        elif over.wait(seconds):
            raise InterruptedError

    monkeypatch.setattr(time, "sleep", sleep_until_over)
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
def hub_sources(
    hub: LocalHub, reports: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_token_leaks: None
) -> Iterator[MakeSources]:
    """Make sources for the Hub, or another, with these pins; all share one cache, one home and a token."""
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
        client = Hub(deadline=deadline)
        client.endpoint, client.cache = at, tmp_path / "cache"
        return Sources(lock=read_lock(lock), hub=client, report=reports.append)

    with abandoned_requests_ended(hub, monkeypatch):
        yield make


@pytest.fixture
def start_fetch(hub: LocalHub, tmp_path: Path, no_token_leaks: None) -> Iterator[StartFetch]:
    """Start a process that fetches, with the same cache and home as `hub_sources`; it runs the code `before` first."""
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


@pytest.fixture(scope="module")
def server() -> Iterator[LocalHub]:
    """A plain web server with one file."""
    with LocalHub() as server:
        server.plain["weights.pt"] = DATA
        yield server


@pytest.fixture
def url(server: LocalHub) -> Iterator[str]:
    """The URL of that file."""
    server.faults.clear()
    server.requests.clear()
    yield f"{server.url}/plain/weights.pt"
    server.faults.clear()


@pytest.fixture
def url_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeUrlSources:
    """Make sources with these pins and this mirror; all share one home."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))

    def make(pins: dict[str, Pin] | None = None, mirror: Path | None = None, *, deadline: float = DEADLINE) -> Sources:
        monkeypatch.setenv("ZOO_DEADLINE", str(deadline))
        lock = Lock(tmp_path / "zoo.lock", pins or {}, tmp_path / "home" / "trusted.json")
        client = Hub(deadline=deadline)
        client.cache = tmp_path / "cache"
        return Sources(lock=lock, hub=client, mirror=Mirror(mirror) if mirror else None)

    return make


@pytest.fixture(scope="module")
def glue_hub() -> Iterator[LocalHub]:
    """A Hub with everything that the GLUE entries read, in small."""
    with LocalHub() as server:
        yield fill_hub(server)


@pytest.fixture
def glue_zoo(zoo: Zoo, glue_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """The command line with the GLUE Hub, an empty cache, and a lock that pins nothing."""
    return use_hub(glue_hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


@pytest.fixture
def glue_sources(glue_hub: LocalHub, tmp_path: Path) -> Sources:
    """Sources for the GLUE Hub, with an empty cache and a lock that pins nothing."""
    client = Hub(deadline=DEADLINE)
    client.endpoint, client.cache = glue_hub.url, tmp_path / "cache"
    return Sources(lock=Lock(tmp_path / "zoo.lock", {}, tmp_path / "trusted.json"), hub=client)
