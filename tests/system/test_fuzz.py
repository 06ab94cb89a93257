"""Damaged and hostile files: whatever they hold, reading them ends well or in a documented error.

`make nightly` runs these tests with many more examples.
"""

import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.records.record import read_record
from tests.helpers.project import ROOT, TINY
from zoo.errors import ZooError
from zoo.fetch.archive import extract_member
from zoo.fetch.lock import Lock, read_lock
from zoo.fetch.source_types import ArchiveMember, Url, parse_source
from zoo.recipes.schema import load_recipe

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SOURCE = "hub:someone/tiny"
PIN = st.fixed_dictionaries({}, optional={"revision": JSON, "files": JSON, "wants": JSON})
FILES = st.dictionaries(st.just("a.bin"), JSON | st.dictionaries(st.sampled_from(["sha256", "size"]), JSON))
PINS = JSON | st.dictionaries(st.just(SOURCE), JSON | PIN | st.fixed_dictionaries({"files": FILES}))
RECORD = json.loads(next((ROOT / "leaderboard" / "records").rglob("record.json")).read_text(encoding="utf-8"))


def _edited(content: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for a file with some bytes replaced, inserted or removed."""
    places = st.integers(0, len(content))
    return st.builds(lambda a, b, new: content[: min(a, b)] + new + content[max(a, b) :], places, places, st.binary())


@given(_edited(TINY.encode()) | st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_recipe_is_read_or_refused(content: bytes) -> None:
    with TemporaryDirectory() as folder, suppress(ZooError):
        path = Path(folder, "recipe.yaml")
        path.write_bytes(content)
        load_recipe(path)


@given(st.text(max_size=40), st.sampled_from(["", "hub:", "https://", "https://host/", "file:", "https://h/a.zip#"]))
def test_any_source_is_parsed_or_refused(text: str, scheme: str) -> None:
    with suppress(ZooError):
        str(parse_source(scheme + text)).encode()


@given(JSON | st.fixed_dictionaries({"sources": PINS}) | st.fixed_dictionaries({"endpoints": st.just({}) | PINS}))
def test_any_lock_is_read_or_refused(data: Any) -> None:
    with TemporaryDirectory() as folder, suppress(ZooError):
        path = Path(folder, "zoo.lock")
        path.write_text(json.dumps(data), encoding="utf-8")
        read_lock(path).pin(SOURCE, "https://host")


@given(JSON | st.fixed_dictionaries({"endpoints": JSON | st.dictionaries(st.just("https://host"), PINS)}))
def test_any_file_of_trusted_pins_is_read_or_refused(data: Any) -> None:
    with TemporaryDirectory() as folder, suppress(ZooError):
        path = Path(folder, "trusted.json")
        path.write_text(json.dumps(data), encoding="utf-8")
        pin = Lock(Path(folder, "zoo.lock"), {}, path).pin(SOURCE, "https://host")
        hash(tuple(pin.wants.values()))


def test_a_deeply_nested_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "zoo.lock").write_text('{"sources":' * 100_000)
    with suppress(ZooError):
        read_lock(tmp_path / "zoo.lock")


@given(st.sampled_from(sorted(RECORD)), JSON)
def test_any_record_is_read_or_refused(key: str, value: Any) -> None:
    with TemporaryDirectory() as folder, suppress(ZooError):
        path = Path(folder, "record.json")
        path.write_text(json.dumps({**RECORD, key: value}), encoding="utf-8")
        read_record(path)


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/w.pt", b"weights" * 20)
    return buffer.getvalue()


@given(_edited(_archive()) | st.binary())
def test_any_archive_is_unpacked_or_refused(content: bytes) -> None:
    with TemporaryDirectory() as folder, suppress(ZooError):
        path = Path(folder, "a.zip")
        path.write_bytes(content)
        extract_member(ArchiveMember(Url("https://host/a.zip"), "w.pt"), path, Path(folder, "out", "w.pt"))
