"""CSV, JSON, Markdown and the committed pages of the suites hold the same rows and verdicts."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from leaderboard import cells
from tests.helpers.project import ROOT


def is_same(cell: Any, value: Any) -> bool:
    """Return whether a cell of CSV or JSON holds exactly this value; a missing number is empty or null."""
    if pd.isna(value):
        return cell in ("", None)
    return float(cell) == value if isinstance(value, int | float) else cell == value


def markdown_rows(text: str) -> list[dict[str, str]]:
    """Return the rows of all Markdown tables with the columns of claims, without links, each with its entry."""
    found, head, entry = [], list[str](), ""
    text = re.sub(r"\[([^]]*)\](\([^)]*\))?", r"\1", text)
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            head = []
        elif not head:
            head = cells
        elif cells[0].startswith("**"):
            entry = cells[0].strip("*")
        elif set(cells[0]) - set(":-") and "claimed" in head:
            found.append({"entry": entry, **dict(zip(head, cells, strict=True))})
    return found


def test_csv_and_json_hold_every_row_at_full_precision(built_site: Path, rows: pd.DataFrame) -> None:
    with (built_site / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        lines = [*csv.DictReader(file)]
    exported = json.loads((built_site / "leaderboard.json").read_text(encoding="utf-8"))
    assert exported["schema"] == 1
    for row, line, data in zip(rows.to_dict("records"), lines, exported["rows"], strict=True):
        assert [*line] == [*data] == [*row]
        assert all(is_same(line[name], value) and is_same(data[name], value) for name, value in row.items()), row


def test_markdown_holds_every_row_with_rounded_numbers(built_site: Path, rows: pd.DataFrame) -> None:
    lines = markdown_rows((built_site / "leaderboard.md").read_text(encoding="utf-8"))
    for row, line in zip(rows.to_dict("records"), lines, strict=True):
        assert line["entry"] == row["entry"]
        assert line["claim"] == f"{cells.KINDS[row['of']]}: {row['metric']} on {row['split']}"
        assert line["verdict"] == cells.verdict_cell(row)
        assert line["claimed"].startswith(cells.format_score(row["reference"], row["decimals"]))
        assert line["measured"].startswith(cells.format_score(row["measured"], row["decimals"]))
        assert line["expected range"] == cells.format_range(row["low"], row["high"], row["decimals"])
        assert line["difference"] == cells.difference_cell(row)


def test_committed_pages_hold_the_verdicts_that_the_committed_records_give(rows: pd.DataFrame) -> None:
    pages = (ROOT / "leaderboard" / "suites").glob("*.md")
    texts = [page.read_text(encoding="utf-8") for page in pages]
    recorded = [row for text in texts for row in markdown_rows(text)]
    computed = [(row["entry"], cells.claim_title(row), row["label"]) for row in rows.to_dict("records")]
    assert sorted((row["entry"], row["claim"], row["verdict"]) for row in recorded) == sorted(computed)
    excluded = re.findall(r"\| (above [0-9.]+ points) ", "".join(texts))
    assert sorted(f"losses {text} are excluded" for text in excluded) == sorted(filter(None, rows["excluded"]))


def test_verdicts_of_the_starter_suite_do_not_change(rows: pd.DataFrame) -> None:
    starter = rows[rows["suite"] == "starter"]
    others = starter[starter["verdict"] != "reproduced"]
    assert (len(starter), others[["entry", "of", "verdict"]].to_numpy().tolist()) == (12, [])


def test_a_missing_number_leaves_its_cell_empty() -> None:
    assert cells.format_score(None) == cells.format_score(float("nan")) == ""
    assert cells.format_range(0.5, None) == ""
