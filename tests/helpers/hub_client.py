"""Repositories of a test Hub, and helpers for files that are fetched from them."""

import hashlib
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.helpers.hub_server import TOKEN
from tests.helpers.project import CompletedCommand
from zoo.errors import ZooError
from zoo.fetch.fetched import Fetched
from zoo.fetch.lock import FilePin
from zoo.fetch.sources import Sources

DEADLINE, AT_ONCE = 20.0, 10.0
"""Seconds: the deadline of tests that nothing keeps waiting, and the longest that an error may take that needs no wait;
both are for a busy machine."""
SOON, MARGIN = 0.6, 1.4
"""Seconds: the deadline of tests that reach it, and the longest that they may take beyond it."""
MODEL = "hub:someone/tiny"
WEIGHTS, OTHER = bytes(range(256)) * 64, bytes(range(255)) * 63
FILES = {"config.json": b'{"model_type": "bert"}\n', "model.safetensors": WEIGHTS, "vocab.txt": b"[PAD]\n[UNK]\n"}
TABLES = "hub:datasets/someone/tables"
ROWS = {"README.md": b"# Tables\n", "rte/test-0.parquet": OTHER, "rte/train-0.parquet": b"PAR1" + WEIGHTS}
CONFIG = {"config.json": FILES["config.json"]}
MODEL_FILES = {**CONFIG, "model.safetensors": WEIGHTS}
MakeSources = Callable[..., Sources]
StartFetch = Callable[..., subprocess.Popen[str]]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blob(data: bytes) -> str:
    """Return the name that git, and so the Hub, gives a small file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def pinned(data: bytes) -> FilePin:
    return FilePin(sha256=digest(data), size=len(data))


def etag_pin(data: bytes) -> FilePin:
    return FilePin(etag_sha256=digest(f'"{digest(data)}"'.encode()))


PROGRAM = """
import sys
from zoo.errors import ZooError
from zoo.fetch.sources import Sources

{before}
try:
    print(Sources(report=print).fetch(*sys.argv[1:]).path)
except ZooError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def end_of(process: subprocess.Popen[str]) -> CompletedCommand:
    out, err = process.communicate(timeout=30)
    assert TOKEN not in out + err
    return CompletedCommand(process.returncode, out, err)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@contextmanager
def refused(kind: type[ZooError], *words: str, seconds: float = AT_ONCE) -> Iterator[None]:
    """Fail unless this error is raised in time: one line with these words, without a token, and without a cause."""
    with within(seconds), pytest.raises(kind) as caught:
        yield
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "hf_" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert [word for word in words if word not in message] == [], message


def refused_by_the_deadline(kind: type[ZooError], *words: str, fetch: Callable[[float], object]) -> None:
    """Fail unless a fetch with a short deadline is refused as by `refused`.

    On a busy machine a server may answer only after a short deadline, which is another error: longer ones are tried.

    Args:
        kind: The class of the error.
        words: Words of its message.
        fetch: Fetches with a deadline in seconds.
    """
    *short, last = SOON, 5 * SOON, 25 * SOON
    for deadline in short:
        with suppress(AssertionError, ZooError):
            with refused(kind, *words, seconds=deadline + MARGIN):
                fetch(deadline)
            return
    with refused(kind, *words, seconds=last + MARGIN):
        fetch(last)


def read(fetched: Fetched) -> dict[str, bytes]:
    """Return the fetched files by name; fail if one does not have its digest."""
    names = [key.removeprefix(f"{fetched.source}/") for key in fetched.files]
    content = {name: (fetched.path / name).read_bytes() for name in names}
    assert {f"{fetched.source}/{name}": digest(data) for name, data in content.items()} == fetched.files
    return content


def tamper(fetched: Fetched, name: str = "model.safetensors") -> None:
    """Change the last byte of a file in the cache."""
    path = (fetched.path / name).resolve()
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def leftovers(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache").rglob("*.incomplete"))
