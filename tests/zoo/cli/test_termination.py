"""SIGTERM while a command downloads: exit code 143, no traceback, no half file, no lock, and the next one goes on."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.project import ROOT, Write, Zoo
from tests.helpers.web_server import Page, WebServer

WEIGHTS = (ROOT / "zoo" / "starter" / "digits-resnet8.safetensors").read_bytes()
PIECES = [WEIGHTS[start : start + 8192] for start in range(0, len(WEIGHTS), 8192)]
RECIPE = """\
name: mine
task: digits
model: {use: cifar_resnet, depth: 8, width: 8, num_classes: 10, in_channels: 1}
weights: URL
claims:
  - {of: weights, split: test, metric: accuracy, value: 0.9788, decimals: 4, source: mine}
"""


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


def terminate_during(server: WebServer) -> threading.Thread:
    """Send SIGTERM to this process once the download has begun."""

    def wait() -> None:
        end = time.monotonic() + 60
        while not server.requests and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("command", ["fetch", "reproduce"])
def test_sigterm_during_a_download_leaves_nothing_and_the_next_command_goes_on(
    command: str, server: WebServer, zoo: Zoo, recipe_file: Write
) -> None:
    server.pages["/weights.safetensors"] = Page(pieces=PIECES, delay=1.0)
    recipe = recipe_file(RECIPE, ("URL", f"{server.url}/weights.safetensors"))
    thread = terminate_during(server)
    completed = zoo(command, recipe)
    thread.join()
    assert completed.code == 143, completed.err
    assert "Traceback" not in completed.err
    left = [path for path in Path("home").rglob("*") if path.is_file() and path.suffix in (".partial", ".lock", "")]
    assert left == []
    server.pages["/weights.safetensors"] = Page(pieces=PIECES)
    again = zoo(command, recipe)
    assert again.code == 0, again.err
