"""Files of predictions that are damaged, or that would fill the memory, are refused before their values are read."""

import io
import json
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from numpy.lib import format as npy

from harness.records.arrays import read_arrays
from harness.runs.predictions_file import read_predictions
from zoo.errors import IntegrityError, UsageError


def member(array: Any) -> bytes:
    buffer = io.BytesIO()
    npy.write_array(buffer, np.asarray(array))
    return buffer.getvalue()


def declared(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    """The header of an array without its values."""
    buffer = io.BytesIO()
    npy.write_array_header_1_0(buffer, {"shape": shape, "fortran_order": False, "descr": descr})
    return buffer.getvalue()


def packed(path: Path, **members: bytes) -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({}, "it has no arrays"),
        ({"predictions": member(1)}, "an array 'predictions' of 0 dimensions"),
        ({"predictions": member(np.zeros((2, 2, 2)))}, "an array 'predictions' of 3 dimensions"),
        ({"predictions": member(np.zeros(0))}, "its arrays have 0 to 0 rows"),
        ({"predictions": member([1, 2]), "labels": member([1])}, "its arrays have 1 to 2 rows"),
        ({"secrets": member([1])}, "an array 'secrets' of 1 dimensions"),
        ({"predictions": member(["a"])}, "predictions.npy has the type <U1"),
        ({"predictions": declared((1,), "|O")}, "predictions.npy has the type object"),
        ({"predictions": declared((10**12,))}, "predictions.npy is shorter than its shape"),
        ({"predictions": declared((2**62, 2**62))}, "predictions.npy is shorter than its shape"),
        ({"predictions": declared((-1, 2**40))}, "negative dimensions"),
        ({"predictions": b"\x93NUMPY"}, "not a predictions file: "),
        ({"predictions": b""}, "not a predictions file: "),
    ],
)
def test_arrays_that_no_evaluation_has_are_refused(members: dict[str, bytes], problem: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=problem):
        read_arrays(packed(tmp_path / "a.npz", **members))


def test_a_small_file_with_large_arrays_is_refused_unless_the_limit_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path / "a.npz", predictions=member(np.zeros(10_000)))
    monkeypatch.setenv("ZOO_MAX_PREDICTIONS", "0.00001")
    with pytest.raises(UsageError, match="GB of arrays; set ZOO_MAX_PREDICTIONS"):
        read_arrays(path)
    with pytest.raises(UsageError, match="set ZOO_MAX_PREDICTIONS"):
        read_predictions(path, "regression", np.zeros(10_000), ())
    monkeypatch.setenv("ZOO_MAX_PREDICTIONS", "1")
    assert len(read_arrays(path)["predictions"]) == 10_000
    names = packed(tmp_path / "names.npz", predictions=declared((2,), "<U100000000"))
    with pytest.raises(UsageError, match="is shorter than its shape"):
        read_predictions(names, "classification", np.zeros(2), ("a", "b"))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text(json.dumps({}))
    with pytest.raises(IntegrityError, match="not a predictions file: File is not a zip file"):
        read_arrays(tmp_path / "a.npz")
    with pytest.raises(IntegrityError, match="No such file"):
        read_arrays(tmp_path / "none.npz")
