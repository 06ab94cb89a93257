"""Compare the rows that a claim is about with the rows that a run scored, where either names a subset of a split."""

from collections.abc import Mapping
from typing import Any

from harness.judging.types import Measurement
from zoo.recipes.claim import Claim


def other_rows(claim: Claim, measured: Measurement) -> str:
    """Return that a claim and a run are about other rows of the split, or an empty text if they are not.

    A claim that names no rows is about all of them.
    """
    claimed, scored = str(claim.rows or ""), str(measured.scoring.get("rows", ""))
    if claimed == scored:
        return ""
    split, found = claim.split, subset_text(measured.scoring, measured.n)
    if not claimed:
        return (
            f"Measured on {found} of {split!r}, but the claim names no rows, so it counts as claimed on all of them;"
            f" write `rows: {_as_yaml(scored)}` in the claim if it was measured on the same rows."
        )
    if not scored:
        advice = f"write `rows: {{{split}: {_as_yaml(claimed)}}}` in the recipe to read only these"
        return f"Claimed on the rows {claimed} of {split!r}, but measured on all {measured.n:,}; {advice}."
    return f"Measured on {found} of {split!r}, but claimed on the rows {claimed}."


def subset_text(scoring: Mapping[str, Any], n: int) -> str:
    """Return which rows were scored, such as `1,000 of 50,000 rows (0-999)`; empty for a whole split."""
    if "of" not in scoring:
        return ""
    named = [str(scoring["rows"])] if "rows" in scoring else []
    named += [f"only {scoring['classes']:,} of the classes"] if "classes" in scoring else []
    return f"{n:,} of {scoring['of']:,} rows ({'; '.join(named)})"


def _as_yaml(rows: str) -> str:
    """Return rows as they are written in YAML: several ranges are a list."""
    return f"[{rows}]" if "," in rows else rows
