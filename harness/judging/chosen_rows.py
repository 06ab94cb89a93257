"""Compare the rows that a claim is about with the rows that a run scored, where either names a subset of a split."""

from collections.abc import Mapping
from typing import Any

from harness.judging.types import Measurement
from zoo.fetch.source_types import is_source
from zoo.recipes.claim import Claim
from zoo.recipes.row_subset import RowSubset


def other_rows(claim: Claim, measured: Measurement) -> str:
    """Return that a claim and a run are about other rows of the split, or an empty text if they are not.

    A claim that names no rows is about all of them. Rows that are the whole split count as no subset.
    """
    whole = measured.scoring.get("of", measured.full_n)
    claimed, scored = (_chosen(str(rows or ""), whole) for rows in (claim.rows, measured.scoring.get("rows")))
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


def _chosen(rows: str, whole: int | None) -> str:
    """Return rows in one form, so that equal rows are equal texts; empty if they are the whole split."""
    if not rows or is_source(rows):
        return rows
    subset = RowSubset.parse(rows)
    return "" if subset.ranges == ((0, (whole or 0) - 1),) else str(subset)


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
