"""Several processes with one cache, and processes that are killed or meet a full disk."""

import signal
import time
from pathlib import Path

import pytest

from tests.helpers.hub_client import (
    CONFIG,
    MODEL,
    MODEL_FILES,
    SOON,
    MakeSources,
    StartFetch,
    end_of,
    leftovers,
    read,
    refused,
    within,
)
from tests.helpers.hub_server import ALWAYS, LocalHub
from zoo.errors import SourceError

SAFETENSORS = "GET .*model.safetensors"
FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"


def test_a_full_disk_is_reported_and_leaves_no_partial_file(
    start_fetch: StartFetch, hub_sources: MakeSources, tmp_path: Path
) -> None:
    full = end_of(start_fetch(MODEL, before=FULL.format(limit=8000)))
    assert full.code == 4
    assert full.lines == [f"someone/tiny: model.safetensors: the disk is full: {tmp_path / 'cache'}"]
    assert leftovers(tmp_path) == []
    assert read(hub_sources().fetch(MODEL)) == MODEL_FILES


def test_a_disk_too_full_for_the_pins_is_reported_and_leaves_no_partial_file(
    start_fetch: StartFetch, tmp_path: Path
) -> None:
    full = end_of(start_fetch(MODEL, "config", before=FULL.format(limit=256)))
    assert full.code == 4
    assert full.lines == [f"{tmp_path / 'home' / 'trusted.json'}: cannot write there: No space left on device"]
    assert [path.name for path in (tmp_path / "home").iterdir() if "partial" in path.name] == []


def test_the_partial_file_of_a_killed_download_is_removed(
    start_fetch: StartFetch, hub_sources: MakeSources, hub: LocalHub, tmp_path: Path
) -> None:
    hub.fault(SAFETENSORS, "stall", at=5000)
    process = start_fetch(MODEL)
    with within(20):
        while not any("/lfs/" in path for _, path, _ in hub.requests):
            time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(leftovers(tmp_path)) == 1
    assert read(hub_sources().fetch(MODEL)) == MODEL_FILES
    assert leftovers(tmp_path) == []


def test_the_partial_file_of_a_running_download_stays(
    start_fetch: StartFetch, hub_sources: MakeSources, hub: LocalHub, tmp_path: Path
) -> None:
    hub.fault(SAFETENSORS, "slow", piece=8192, delay=1)
    process = start_fetch(MODEL)
    with within(20):
        while not any("/lfs/" in path for _, path, _ in hub.requests):
            time.sleep(0.02)
    assert read(hub_sources().fetch(MODEL, "config")) == CONFIG
    with refused(SourceError, "model.safetensors"):  # nor waited for beyond the deadline
        hub_sources(deadline=SOON).fetch(MODEL)
    assert len(leftovers(tmp_path)) == 1
    assert end_of(process).code == 0
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_six_processes_at_once_download_a_file_once(
    start_fetch: StartFetch, hub_sources: MakeSources, hub: LocalHub, tmp_path: Path
) -> None:
    hub.fault(SAFETENSORS, "slow", times=ALWAYS, piece=4096, delay=0.2)
    all_ended = [end_of(process) for process in [start_fetch(MODEL) for _ in range(6)]]
    assert [(one.code, one.err) for one in all_ended] == [(0, "")] * 6
    (folder,) = {one.out.splitlines()[-1] for one in all_ended}
    assert {path.name: path.read_bytes() for path in Path(folder).iterdir()} == MODEL_FILES
    assert sum("/lfs/" in path for _, path, _ in hub.requests) == 1
    assert leftovers(tmp_path) == []
    hub.requests.clear()
    assert read(hub_sources().fetch(MODEL)) == MODEL_FILES
    assert hub.requests == []
