"""Write the parts of the Markdown pages: tables, links and numbers."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from leaderboard.cells import format_score
from zoo.safe_text import markdown

UNESCAPED_BAR = re.compile(r"(?<!\\)\|")
NUMBER = re.compile(r"(\[?[+-]?\d[\d.,]*\b(?!-)[^:]*|not-run)?$")
"""A cell that a table shows on the right: a number, perhaps in a link or with more about it, or no value."""
WIDEST, NARROW = 120, 99
"""The widest padded line of a table, and that of a table that readers first see."""
NO_BREAK = "\u00a0"
RECORDS = "records"
"""The folder of the committed records, one folder for each entry."""


def markdown_table(shown: list[dict[str, Any]], *, widest: int = WIDEST) -> str:
    """Return rows as a Markdown table, with numbers on the right.

    Every `|` in a cell is escaped, even in backticks, as GitHub requires. Columns are padded if a line then has at most
    `widest` characters; in wider tables one long cell would change every line.
    """
    cells = [{name: UNESCAPED_BAR.sub(r"\|", str(cell)) for name, cell in row.items()} for row in shown]
    alignment = ["right" if _is_number_column(name, cells) else "left" for name in shown[0]]
    padded = str(pd.DataFrame(cells).to_markdown(index=False, disable_numparse=True, colalign=alignment))
    if max(map(len, padded.splitlines())) <= widest:
        return padded
    rule = ["--:" if side == "right" else ":--" for side in alignment]
    return "\n".join(f"| {' | '.join(line)} |" for line in ([*shown[0]], rule, *(row.values() for row in cells)))


def _is_number_column(name: str, cells: list[dict[str, str]]) -> bool:
    """Return whether a column holds only numbers; verdicts are words, although `not-run` also stands for a number."""
    return name != "verdict" and all(NUMBER.match(row[name]) for row in cells)


def entry_name(name: str, *, is_linked: bool) -> str:
    """Return the name of an entry; in brackets it is a link, whose target `link_definitions` gives below the table."""
    return f"[{markdown(name)}]" if is_linked else markdown(name)


def link_definitions(targets: Mapping[str, str]) -> str:
    """Return the targets of names in brackets. They keep the lines of a table short."""
    return "\n".join(f"[{markdown(name)}]: {target}" for name, target in targets.items())


def evidence_link(name: str, text: object, *, is_linked: bool) -> str:
    """Return a text that links to the records of an entry; `evidence_targets` gives the target below the table."""
    return f"[{text}][{RECORDS}/{markdown(name)}]" if is_linked else str(text)


def evidence_targets(names: Iterable[str], folder: str = "") -> dict[str, str]:
    """Return what `link_definitions` needs for the records of entries; `folder` leads from the page to the leaderboard.

    No name of an entry has a slash, so these links cannot be those of names.
    """
    return {f"{RECORDS}/{name}": f"{folder}{RECORDS}/{name}" for name in names}


def recipe_path(name: str, suite: str, root: str = "..") -> str:
    """Return the path of a shipped entry's recipe; `root` leads from the page to the root of the repository."""
    return f"{root}/configs/{suite}/{name}.yaml"


def recipe_link(name: str, suite: str, root: str = "..") -> str:
    """Return the name of a shipped entry as a Markdown link to its recipe; `root` leads from the page to the root."""
    return f"[{markdown(name)}]({recipe_path(name, suite, root)})"


def records_link(name: str, text: object, records: str = RECORDS) -> str:
    """Return a text as a Markdown link to the folder of an entry's committed records; an empty text has no link."""
    return f"[{text}]({records}/{name})" if f"{text}" else ""


def format_mean(mean: float | None, spread: float | None, n: int, decimals: float | None = None) -> str:
    """Return a mean with the standard deviation and number of single runs, or an empty string if it is missing."""
    if mean is None or pd.isna(mean):
        return ""
    score = format_score(mean, decimals)
    return score if spread is None or pd.isna(spread) else f"{score} ± {format_score(spread, decimals)} (n = {n})"


def format_points(difference: float) -> str:
    """Return a difference of fractions in points (hundredths), with its sign."""
    return f"{round(100 * difference, 2) + 0.0:+.2f}"  # adding 0.0 turns a rounded -0.0 into 0.0


def format_points_range(low: float, high: float) -> str:
    """Return an interval of differences in points."""
    return f"{format_points(low)} to {format_points(high)}"


def unbroken(text: str) -> str:
    """Return a cell that stays on one line."""
    return text.replace(" ", NO_BREAK)
