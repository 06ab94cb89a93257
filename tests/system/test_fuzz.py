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

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib import format as npy

from harness.records.record import read_record
from harness.runs.predictions_file import read_predictions
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


NAMES = ("no", "yes")
LABELS = {
    "classification": np.array([0, 1, 1]),
    "regression": np.array([0.5, 1.0, 2.5], np.float32),
    "multilabel": np.array([[0, 1], [1, 0], [1, 1]]),
}


def _predictions() -> dict[str, bytes]:
    """Return a valid file of predictions in every format, by its ending."""
    arrays, table = io.BytesIO(), io.BytesIO()
    np.savez_compressed(arrays, predictions=LABELS["classification"])
    pq.write_table(pa.table({"id": [0, 1, 2], "prediction": ["no", "yes", "yes"]}), table)
    lines = [json.dumps({"prediction": name}) for name in ("no", "yes", "yes")]
    return {
        ".npz": arrays.getvalue(), ".parquet": table.getvalue(), ".csv": b"id,prediction\n0,no\n2,yes\n1,yes\n",
        ".tsv": b"prediction\nno\nyes\nyes\n", ".jsonl": "\n".join(lines).encode(),
        ".json": f"[{','.join(lines)}]".encode(),
    }  # fmt: skip


def _arrays(dtype: str, shape: list[int], content: bytes) -> bytes:
    """Return an `.npz` file whose array says that it has this type and shape."""
    buffer, array = io.BytesIO(), io.BytesIO()
    npy.write_array_header_1_0(array, {"descr": dtype, "fortran_order": False, "shape": tuple(shape)})
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("predictions.npy", array.getvalue() + content)
    return buffer.getvalue()


DAMAGED = st.one_of([st.tuples(st.just(ending), _edited(content)) for ending, content in _predictions().items()])
HEADERS = st.sampled_from(["<i8", "<f4", "<f8", "<U3", "|O", "|b1", "<c8", "<M8[s]", "|S2", "|V4"])
SHAPES = st.lists(st.integers(0, 3), max_size=3) | st.just([3]) | st.just([3, 2])
ARRAYS = st.builds(_arrays, HEADERS, SHAPES, st.binary(max_size=80))
ROWS = st.lists(JSON | st.fixed_dictionaries({"prediction": JSON}, optional={"id": JSON}), min_size=3, max_size=3)


@given(
    DAMAGED | st.tuples(st.just(".npz"), ARRAYS) | st.tuples(st.just(".json"), ROWS.map(json.dumps).map(str.encode)),
    st.sampled_from(sorted(LABELS)),
)
def test_any_file_of_predictions_is_read_or_refused(file: tuple[str, bytes], kind: Any) -> None:
    with TemporaryDirectory() as folder, suppress(ZooError):
        path = Path(folder, f"predictions{file[0]}")
        path.write_bytes(file[1])
        assert read_predictions(path, kind, LABELS[kind], NAMES).shape == LABELS[kind].shape
