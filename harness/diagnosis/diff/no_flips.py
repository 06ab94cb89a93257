"""Say why two results of a structured task have no flips. This module does not import torch."""

from collections.abc import Mapping
from typing import Any

from harness.judging.paired import Array

EXAMPLES = {
    "answers": "question", "entities": "sentence", "words": "sentence", "confusion": "image", "objects": "image",
}  # fmt: skip
"""An array of a predictions file -> the examples that its rows are about."""
DIGEST = 12
"""The number of digits of a SHA-256 that are shown."""


def why_no_flips(
    arrays: Mapping[str, Array], a: Mapping[str, Any] | None, b: Mapping[str, Any] | None, *, is_comparable: bool
) -> str:
    """Return why results without one prediction for each example have no flips.

    Args:
        arrays: The arrays of one of the results.
        a: The number of rows of the split in record A and their SHA-256; None if it is not recorded.
        b: The same of record B.
        is_comparable: Whether both results are of the same data.
    """
    example = next((name for array, name in EXAMPLES.items() if array in arrays), "example")
    if is_comparable:
        return f"the runs record the counts or scores of each {example}, and not one prediction that could flip"
    if a is None or b is None or a == b:
        return f"the true labels of a {example} differ, and scores on different data are not comparable"
    return f"the data of the split differ ({_shown(a)} and {_shown(b)}); scores on different data are not comparable"


def _shown(data: Mapping[str, Any]) -> str:
    return f"{data.get('rows', 0):,} rows with the digest {str(data.get('sha256'))[:DIGEST]}"
