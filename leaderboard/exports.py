"""Export the rows of the leaderboard as CSV, JSON and Markdown."""

import json
from typing import Any

import pandas as pd

from leaderboard import markdown_parts
from leaderboard.cells import claim_cells, claim_title, verdict_cell
from zoo.safe_text import csv_cell, markdown

SCHEMA = 1


def export_files(rows: pd.DataFrame) -> dict[str, str]:
    """Return the exported files: name -> text."""
    return {"leaderboard.csv": as_csv(rows), "leaderboard.json": as_json(rows), "leaderboard.md": as_markdown(rows)}


def as_csv(rows: pd.DataFrame) -> str:
    """Return one line per claim, with numbers at full precision, and no text that a spreadsheet would compute."""
    safe = rows.map(lambda cell: csv_cell(cell) if isinstance(cell, str) else cell)
    return str(safe.to_csv(index=False, lineterminator="\n"))


def as_json(rows: pd.DataFrame) -> str:
    """Return `{"schema": 1, "rows": [...]}`, with numbers at full precision; a missing number is null."""
    data = [{key: None if pd.isna(value) else value for key, value in row.items()} for row in rows.to_dict("records")]
    return json.dumps({"schema": SCHEMA, "rows": data}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(rows: pd.DataFrame) -> str:
    """Return one table per suite, with numbers rounded as on the pages."""
    suites = sorted(set(rows["suite"])) if len(rows) else []
    tables = [
        f"## {suite}\n\n{markdown_parts.markdown_table(_formatted(rows[rows['suite'] == suite]))}" for suite in suites
    ]
    return "\n\n".join(["# Leaderboard", *tables]) + "\n"


def _formatted(rows: pd.DataFrame) -> list[dict[str, Any]]:
    formatted = [(row, claim_cells(row)) for row in rows.to_dict("records")]
    return [
        {
            "entry": markdown(row["entry"]),
            "claim": markdown(claim_title(row)),
            "claimed": f"{cells['reference']} {cells['reference_runs']}".strip(),
            "measured": f"{cells['measured']} {cells['measured_runs']}".strip(),
            "difference": cells["difference"],
            "expected range": cells["band"],
            "verdict": markdown(verdict_cell(row)),
            "audit": markdown(row["audit"]),
            **{name: markdown(row[name]) for name in ("environment", "date", "source")},
        }
        for row, cells in formatted
    ]
