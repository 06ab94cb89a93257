"""Read and examine the arrays of a prediction file. Imports nothing heavy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from zoo.errors import IntegrityError


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a prediction file. Raises IntegrityError if it is missing or holds no arrays."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, BadZipFile, NotImplementedError, TypeError) as error:
        raise IntegrityError(f"{path}: not a predictions file: {error}") from None


def rows_not_finite(arrays: Mapping[str, NDArray[Any]]) -> int:
    """Return the number of rows with an output that is NaN or infinite.

    Args:
        arrays: The arrays of an evaluation. `not_finite` `(N,)` marks such rows; it is left out if there are none.
            Otherwise logits, margins and real-valued predictions are searched.
    """
    found: Any = arrays.get("not_finite", np.zeros(len(next(iter(arrays.values()))), dtype=bool))
    for name in ("logits", "margins", "predictions"):
        if name in arrays and np.issubdtype(arrays[name].dtype, np.floating):
            found = found | ~np.isfinite(arrays[name].reshape(len(found), -1)).all(axis=1)
    return int(found.sum())
