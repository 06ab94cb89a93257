"""The cells of a claim as a reader sees them: the table's row, rounded. Values in, texts out."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from harness.judging.types import format_difference

KINDS = {"weights": "weights", "retrain": "retrain", "test-server": "test server"}
"""The kinds of claims, and what they are called."""
Row = Mapping[Hashable, Any]


def claim_cells(row: Row) -> dict[str, str]:
    """What is shown of a row of `leaderboard.table.rows`, by column; empty where there is nothing."""
    return {
        "kind": KINDS[row["of"]],
        "scored": f"{row['split']} {row['metric']}",
        "reference": format_score(row["reference"]),
        "reference_runs": _runs(row["sigma"], row["reference_runs"], row.get("sigma_from", "")),
        "measured": format_score(row["measured"]),
        "measured_runs": _runs(row["spread"], row["n"]),
        "difference": format_difference(row),
        "band": format_range(row.get("low"), row.get("high")),
    }


def format_score(value: float | None) -> str:
    """A score to four decimals, empty where there is none."""
    return "" if _lacks(value) else f"{value:.4f}"


def format_range(low: float | None, high: float | None) -> str:
    """A range of scores, empty where there is none."""
    return "" if _lacks(low) or _lacks(high) else f"{low:.4f} to {high:.4f}"


def format_difference(row: Row) -> str:
    """Measured less claimed, with its sign; empty where either is missing."""
    return format_difference(float(row["measured"] - row["reference"])) if _is_measured(row) else ""


def sort_values(row: Row) -> dict[str, float | str]:
    """The numbers behind the cells at full precision, which a page sorts by; empty where there is none."""
    found = {name: row[name] for name in ("reference", "measured")}
    found["difference"] = row["measured"] - row["reference"] if _is_measured(row) else None
    return {name: "" if _lacks(value) else float(value) for name, value in found.items()}


def _runs(spread: float | None, n: int, sigma_from: str = "") -> str:
    """The standard deviation of single runs and their number; of a spread that nobody measured, where it is from."""
    if _lacks(spread):
        return f"n = {n}" if n > 1 else ""
    declared = f" ({sigma_from})" if sigma_from in ("prior", "binomial") else ""
    return f"± {spread:.4f}{declared}, n = {n}"


def _is_measured(row: Row) -> bool:
    return not _lacks(row["measured"]) and not _lacks(row["reference"])


def _lacks(value: float | None) -> bool:
    return value is None or bool(pd.isna(value))
