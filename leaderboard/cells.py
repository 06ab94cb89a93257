"""Format the cells of a claim's row, as all pages show them."""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import pandas as pd

from harness.judging.types import format_difference
from leaderboard.table import ONLY_REFERENCES
from zoo.text_tables import number

KINDS = {"weights": "published weights", "retrain": "retraining", "test-server": "test server"}
"""Kind of claim -> its name on the pages."""
VERDICT_MEANINGS = {
    "reproduced": "The score was reproduced: as many right predictions, up to numeric noise, or for a retraining a mean"
    " that is shown to be close. '(one score)': the claim is a single published score, which excludes less.",
    "not-reproduced": "The measured score lies outside the range that a correct re-run would give, above or below.",
    "inconclusive": "The runs so far show neither agreement nor disagreement. The reason says how many further runs"
    " would settle it.",
    "not-compared": "No comparable measurement is possible: hidden labels, another split or number of examples, or no"
    " published value.",
    "not-run": "No run of the current recipe is committed, except perhaps its reference runs, which cannot judge their"
    " own mean.",
}
"""Verdict -> its meaning for a reader of the pages."""
_SIGMA_LABELS = {"prior": " (prior)", "raised": " (prior)", "binomial": " (test-set error)"}
Row = Mapping[Hashable, Any]
"""A row of `leaderboard.table.rows`."""


def claim_cells(row: Row) -> dict[str, str]:
    """Return the formatted cells of a row by name; a cell without a value is empty."""
    return {
        "kind": KINDS[row["of"]],
        "scored": _scored(row),
        "reference": format_score(row["reference"], row["decimals"]),
        "reference_runs": _format_runs(row["sigma"], row["reference_runs"], row.get("sigma_from", "")),
        "measured": format_score(row["measured"], row["decimals"]),
        "measured_runs": _format_runs(row["spread"], row["n"]),
        "difference": difference_cell(row),
        "band": format_range(row.get("low"), row.get("high"), row["decimals"]),
        "note": "only reference runs" if row.get("why") == ONLY_REFERENCES else str(row.get("excluded", "")),
    }


def claim_anchors(rows: Iterable[Row]) -> list[str]:
    """Return the id of each claim on the page of its entry, such as `retraining-accuracy-on-test`.

    If an entry has two claims with the same title, the id of the second one ends in `-2`.
    """
    anchors, counts = [], Counter[tuple[str, str]]()
    for row in rows:
        slug = re.sub(r"[^a-z0-9]+", "-", claim_title(row).lower()).strip("-")
        counts[row["entry"], slug] += 1
        count = counts[row["entry"], slug]
        anchors.append(f"{slug}-{count}" if count > 1 else slug)
    return anchors


def claim_title(row: Row) -> str:
    """Return what a claim is about, such as `retraining: accuracy on test`."""
    return f"{KINDS[row['of']]}: {_scored(row)}"


def _scored(row: Row) -> str:
    """Return the metric and split of a claim, and the rows, if they are not all."""
    rows = f", rows {row['rows']}" if row["rows"] else ""
    return f"{row['metric']} on {row['split']}{rows}"


def format_score(value: float | None, decimals: float | None = None) -> str:
    """Return a score with four decimals, or those of its claim if they are more; an empty string if it is missing."""
    return "" if _is_missing(value) else number(value, _whole(decimals))


def format_range(low: float | None, high: float | None, decimals: float | None = None) -> str:
    """Return a range of scores, or an empty string if an end is missing."""
    if _is_missing(low) or _is_missing(high):
        return ""
    return f"{format_score(low, decimals)} to {format_score(high, decimals)}"


def difference_cell(row: Row) -> str:
    """Return the measured minus the claimed score with its sign, or an empty string if either is missing."""
    return _format_difference(row) if _is_measured(row) else ""


def verdict_cell(row: Row) -> str:
    """Return the label of a verdict, with the losses that it excludes."""
    return f"{row['label']}; {row['excluded']}" if row["excluded"] else str(row["label"])


def _format_difference(row: Row) -> str:
    return format_difference(float(row["measured"] - row["reference"]), _whole(row["decimals"]))


def sort_values(row: Row) -> dict[str, float | str]:
    """Return the numbers behind the cells at full precision, by which a page sorts; empty if missing."""
    numbers = {name: row[name] for name in ("reference", "measured")}
    numbers["difference"] = row["measured"] - row["reference"] if _is_measured(row) else None
    return {name: "" if _is_missing(value) else float(value) for name, value in numbers.items()}


def _format_runs(spread: float | None, n: int, sigma_from: str = "") -> str:
    """Return the standard deviation of single runs, its source if it was not measured, and the number of runs."""
    if _is_missing(spread):
        return f"n = {n}" if n > 1 else ""
    return f"± {spread:.4f}{_SIGMA_LABELS.get(sigma_from, '')}, n = {n}"


def _is_measured(row: Row) -> bool:
    return not _is_missing(row["measured"]) and not _is_missing(row["reference"])


def _whole(decimals: float | None) -> int | None:
    """Return decimals as an integer: pandas stores them as floats, and None as NaN."""
    return None if decimals is None or pd.isna(decimals) else int(decimals)


def _is_missing(value: float | None) -> bool:
    return value is None or bool(pd.isna(value))
