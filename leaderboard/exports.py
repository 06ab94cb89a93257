"""The leaderboard's rows as CSV, JSON and Markdown: the numbers of the page, in the first two at full precision."""

import json
from typing import Any

import pandas as pd

from leaderboard import page
from leaderboard.cells import claim_cells

SCHEMA = 1


def export_files(rows: pd.DataFrame) -> dict[str, str]:
    """File name -> text."""
    return {"leaderboard.csv": as_csv(rows), "leaderboard.json": as_json(rows), "leaderboard.md": as_markdown(rows)}


def as_csv(rows: pd.DataFrame) -> str:
    """One line a claim; a number is written with all digits that tell it from its neighbours."""
    return str(rows.to_csv(index=False, lineterminator="\n"))


def as_json(rows: pd.DataFrame) -> str:
    """`{"schema": 1, "rows": [...]}`; what is not a number is null."""
    found = [{key: None if pd.isna(value) else value for key, value in row.items()} for row in rows.to_dict("records")]
    return json.dumps({"schema": SCHEMA, "rows": found}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(rows: pd.DataFrame) -> str:
    """A table for each suite, with the numbers as the page rounds them."""
    suites = sorted(set(rows["suite"])) if len(rows) else []
    tables = [f"## {suite}\n\n{page.markdown_table(_shown(rows[rows['suite'] == suite]))}" for suite in suites]
    return "\n\n".join(["# Leaderboard", *tables]) + "\n"


def _shown(rows: pd.DataFrame) -> list[dict[str, Any]]:
    found = [(row, claim_cells(row)) for row in rows.to_dict("records")]
    return [
        {
            "entry": row["entry"],
            "claim": f"{row['of']}, {row['split']} {row['metric']}",
            "reference": f"{shown['reference']} {shown['reference_runs']}".strip(),
            "measured": f"{shown['measured']} {shown['measured_runs']}".strip(),
            **{name: shown[name] for name in ("difference", "band")},
            **{name: row[name] for name in ("verdict", "environment", "date", "source")},
        }
        for row, shown in found
    ]
