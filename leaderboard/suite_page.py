"""Generate leaderboard/suites/<suite>.md: the claims of one suite, in tables that are narrow enough to be read.

Long texts, the sources of the claims, stand in a numbered list below the tables.
"""

import pandas as pd

from leaderboard.cells import KINDS, Row, claim_title, difference_cell, verdict_cell
from leaderboard.markdown_parts import NO_BREAK, format_mean, markdown_table, recipe_link, records_link
from zoo.safe_text import markdown

FOLDER = "suites"
ROOT = "../.."
"""The way from a page of a suite to the root of the repository."""
RUNS = "Audits and runs"
SOURCES = "Sources of the claimed scores"


def sections(rows: pd.DataFrame, *, level: int = 2, is_committed: bool = True) -> list[str]:
    """Return the sections of a suite: its claims, then their audits and runs, then their sources.

    Args:
        rows: Rows of `leaderboard.table.rows`, all of one suite.
        level: The level of the headings. The first section has none if it is greater than 2.
        is_committed: Whether the page is committed, so that it links to recipes and records.
    """
    claims, mark = rows.to_dict("records"), "#" * level
    sources = [*dict.fromkeys(row["source"] for row in claims if row["source"])]
    numbers = {source: str(place) for place, source in enumerate(sources, 1)}
    names = {row["entry"]: _entry(row, is_committed) for row in claims}
    parts = [f"{mark} Claims"] if level == 2 else []
    parts.append(markdown_table([_claim(row, names, numbers) for row in claims]))
    if runs := [_run(row, names, is_committed) for row in claims if row["n"] or row["audit"]]:
        parts += [f"{mark} {RUNS}", markdown_table(runs)]
    if sources:
        listed = "\n".join(f"{place}. {markdown(source)}" for source, place in numbers.items())
        parts += [f"{mark} {SOURCES}", listed]
    return parts


def _entry(row: Row, is_committed: bool) -> str:
    name, suite = str(row["entry"]), str(row["suite"])
    return recipe_link(name, suite, ROOT) if is_committed else markdown(name)


def _claim(row: Row, names: dict[str, str], numbers: dict[str, str]) -> dict[str, str]:
    return {
        "entry": names[row["entry"]],
        "claim": markdown(claim_title(row)),
        "claimed": _unbroken_spread(
            format_mean(row["reference"], row["sigma"], row["reference_runs"], row["decimals"])
        ),
        "measured": _unbroken_spread(format_mean(row["measured"], row["spread"], row["n"], row["decimals"])),
        "verdict": verdict_cell(row),
        "source": numbers.get(row["source"], ""),
    }


def _unbroken_spread(mean: str) -> str:
    """Return a mean whose line can break before the standard deviation and before the number of runs only."""
    return mean.replace("± ", f"±{NO_BREAK}").replace(" = ", f"{NO_BREAK}={NO_BREAK}")


def _run(row: Row, names: dict[str, str], is_committed: bool) -> dict[str, str]:
    """Return what arithmetic says about the digits of a claim, and the last of the runs that judge it."""
    date = records_link(row["entry"], row["date"], "../records") if is_committed else row["date"]
    return {
        "entry": names[row["entry"]],
        "kind of claim": f"{KINDS[row['of']]}, {markdown(row['metric'])}",
        "difference": difference_cell(row) if row["n"] else "",
        "audit": markdown(row["audit"]),
        "last run": f"{date}: {markdown(row['environment'])}" if row["n"] else "",
    }
