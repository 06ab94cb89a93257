"""The file of a fingerprint: digests of an entry's inputs, and the outputs of its weights for the first rows.

It lies beside the recipe as NAME.fingerprint.json. Logits are stored with four decimals.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.errors import IntegrityError, SourceError, UsageError, first_line
from zoo.files import write_atomically

SCHEMA = 1
DECIMALS = 4
DTYPES = {"fp32": torch.float32, "tf32": torch.float16, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision -> a type with its number of bits; TF32 has as many as fp16."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """SHA-256 digests, and the outputs for the first rows of the first scored split."""

    recipe: str
    weights: str
    data: str
    """The digest of the rows, computed as in a record."""
    inputs: str
    """The digest of the tensors that the model gets."""
    split: str
    precision: str
    logits: NDArray[np.float64]
    """`(R, C)`, rounded to four decimals."""
    predictions: NDArray[np.generic]
    """`(R,)`, or `(R, C)` for several labels."""
    terms: int = 0
    """The number of products that the model adds for one logit. Not stored; it decides the rounding errors."""
    layers: int = 0
    """The number of layers, each of which rounds its outputs to the precision. Not stored."""


def write_fingerprint(path: Path, fingerprint: Fingerprint) -> None:
    """Write a fingerprint as JSON with one line for each row of logits.

    Raises:
        UsageError: A logit is not a finite number.
        SourceError: The file cannot be written.
    """
    if not np.isfinite(fingerprint.logits).all():
        raise UsageError(f"{path}: no fingerprint can be written, because the model returns logits that are not finite")
    digests = {name: getattr(fingerprint, name) for name in ("recipe", "weights", "data", "inputs")}
    data = {"schema": SCHEMA, **digests, "split": fingerprint.split, "precision": fingerprint.precision}
    head = json.dumps(data, indent=1).removesuffix("\n}")
    logits = ",\n  ".join(
        json.dumps((row + 0.0).tolist()) for row in fingerprint.logits
    )  # adding 0.0 turns -0.0 into 0.0
    predictions = json.dumps(fingerprint.predictions.tolist())
    text = f'{head},\n "predictions": {predictions},\n "logits": [\n  {logits}\n ]\n}}\n'
    try:
        write_atomically(path, text)
    except OSError as error:
        raise SourceError(f"{path}: cannot write the fingerprint: {error.strerror or error}") from None


def read_fingerprint(path: Path) -> Fingerprint:
    """Read a fingerprint.

    Raises:
        SourceError: The file cannot be read.
        IntegrityError: The file is not a fingerprint, or has another schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise IntegrityError(f"{path}: the schema is {data['schema']!r}, but this version reads {SCHEMA}")
        if data["precision"] not in DTYPES:
            raise IntegrityError(f"{path}: the precision is {data['precision']!r}; known are {', '.join(DTYPES)}")
        logits = np.asarray(data["logits"], np.float64)
        texts: dict[str, Any] = {
            name: str(data[name]) for name in ("recipe", "weights", "data", "inputs", "split", "precision")
        }
        return Fingerprint(**texts, logits=logits, predictions=np.asarray(data["predictions"]))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"{path}: not a fingerprint: {type(error).__name__}: {first_line(error)}") from None
