"""Read and examine the arrays of a prediction file. Imports nothing heavy.

A file is checked before its values are read: a damaged or hostile one may declare arrays that fill the memory.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from zoo.errors import IntegrityError, UsageError, first_line
from zoo.fetch.limits import check_arrays_size

DIMENSIONS = {
    "predictions": (1, 2), "labels": (1, 2), "logits": (1, 2), "margins": (1,), "ranked": (2,), "confusion": (3,),
    "entities": (4,), "words": (3,), "answers": (2,), "detections": (3,), "objects": (3,), "not_finite": (1,),
    "groups": (1,),
}  # fmt: skip
"""The arrays of a prediction file, with the number of dimensions that each can have; the first counts the examples."""
RANKS = 5
"""How many of the most likely classes of an example are stored if a metric reads them."""
LEAST_TOLERANCE = 1e-9
"""How much a score of counts may differ by the rounding of another version of numpy or scikit-learn."""
NUMBERS = "biuf"
"""The kinds of numpy types that hold a truth value or a real number."""
_SUFFIX = ".npy"


def from_cut(arrays: Mapping[str, NDArray[np.generic]], cut: float) -> dict[str, NDArray[np.generic]]:
    """Return arrays whose logits are measured from the logit above which a label is predicted."""
    if not cut or "logits" not in arrays:
        return dict(arrays)
    return {**arrays, "logits": arrays["logits"].astype(np.float32) - np.float32(cut)}


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a prediction file, all with the same number of rows.

    Raises:
        IntegrityError: The file is missing, or is not one that zoo writes.
        UsageError: The arrays are larger than ZOO_MAX_PREDICTIONS.
    """
    try:
        with ZipFile(path) as archive:
            check_arrays_size(sum(info.file_size for info in archive.infolist()), str(path))
            names = [info.filename for info in archive.infolist()]
            arrays = {name.removesuffix(_SUFFIX): read_array(archive, name, NUMBERS) for name in names}
            problem = _problem(names, arrays)
    except UsageError:
        raise
    except Exception as error:  # zipfile, its decompressors and numpy raise many kinds for a damaged file
        reason = first_line(error) or "it is empty or ends early"
        raise IntegrityError(f"{path}: not a predictions file: {reason}") from None
    if problem:
        raise IntegrityError(f"{path}: not a predictions file: {problem}")
    return arrays


def read_array(
    archive: ZipFile,
    name: str,
    kinds: str,
    check_header: Callable[[tuple[int, ...], np.dtype[Any]], None] | None = None,
) -> NDArray[np.generic]:
    """Return an array of an npz file. Its header must fit the size of the archive's member.

    Args:
        archive: The file.
        name: The name of the member.
        kinds: The kinds of numpy types that are read.
        check_header: Called with the declared shape and type before the values are read; it may raise an error.

    Raises:
        KeyError: The archive has no such member.
        ValueError: It is another kind of array, or damaged.
    """
    with archive.open(name) as file:
        shape, dtype = _read_header(file)
        if check_header is not None:
            check_header(shape, dtype)
        if dtype.kind not in kinds:
            raise ValueError(f"{name} has the type {dtype}")
        if math.prod(shape) * dtype.itemsize > archive.getinfo(name).file_size:
            raise ValueError(f"{name} is shorter than its shape {shape}")
        file.seek(0)
        array: NDArray[np.generic] = npy.read_array(file, allow_pickle=False)
    return array


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    is_first = npy.read_magic(file) == (1, 0)
    shape, _, dtype = (npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0)(file)
    return shape, dtype


def score_tolerance(arrays: Mapping[str, NDArray[Any]]) -> float:
    """Return by how much a score of these arrays may differ by rounding, on another processor or with other libraries.

    Sums of N real-valued predictions have the precision of their type. Their error grows as the square root of N
    (Higham and Mary, A New Approach to Probabilistic Rounding Error Analysis, SISC 2019).
    """
    predictions = arrays.get("predictions")
    if predictions is None or not np.issubdtype(predictions.dtype, np.floating):
        return LEAST_TOLERANCE
    return max(LEAST_TOLERANCE, float(np.finfo(predictions.dtype).eps) * math.sqrt(len(predictions)))


def rows_not_finite(arrays: Mapping[str, NDArray[Any]]) -> int:
    """Return the number of rows with an output that is NaN or infinite."""
    return int(not_finite(arrays).sum())


def not_finite(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return which rows have an output that is NaN or infinite, `(N,)`.

    Args:
        arrays: The arrays of an evaluation. `not_finite` `(N,)` marks such rows; it is left out if there are none.
            Otherwise logits, margins and real-valued predictions are searched.
    """
    found: Any = arrays.get("not_finite", np.zeros(len(next(iter(arrays.values()))), dtype=bool))
    for name in ("logits", "margins", "predictions"):
        if name in arrays and np.issubdtype(arrays[name].dtype, np.floating):
            found = found | ~np.isfinite(arrays[name].reshape(len(found), -1)).all(axis=1)
    marked: NDArray[np.bool_] = found
    return marked


def _problem(names: list[str], arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Return what is wrong with the names and shapes of arrays, or an empty text."""
    if not arrays:
        return "it has no arrays"
    if len(set(names)) < len(names):
        return "it has two arrays of the same name"
    for name, array in arrays.items():
        if array.ndim not in DIMENSIONS.get(name, ()):
            return f"an array {name!r} of {array.ndim} dimensions"
    rows = {len(array) for array in arrays.values()}
    return f"its arrays have {min(rows)} to {max(rows)} rows" if len(rows) > 1 or 0 in rows else ""
