"""Generate leaderboard/suites/<suite>.md: the claims of one suite, in tables that are narrow enough to be read.

The name of an entry with several claims, or a long name, has a row of its own. Long texts, the sources of the claims,
stand in a numbered list below the tables, and the targets of the links at the end of the page.
"""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from leaderboard.cells import KINDS, Row, claim_title, difference_cell, format_score
from leaderboard.markdown_parts import (
    NARROW,
    NO_BREAK,
    entry_name,
    evidence_link,
    evidence_targets,
    format_mean,
    link_definitions,
    markdown_table,
    recipe_path,
)
from zoo.safe_text import markdown

FOLDER = "suites"
ROOT = "../.."
"""The way from a page of a suite to the root of the repository."""
AUDITS, RUNS = "Audits", "Runs"
SOURCES = "Sources of the claimed scores"
LONGEST_NAME = 30
"""The longest name of an entry in a column of entries."""
Cells = dict[str, str]


def sections(rows: pd.DataFrame, *, level: int = 2, is_committed: bool = True) -> list[str]:
    """Return the sections of a suite: its claims, their audits and runs, and their sources.

    Args:
        rows: Rows of `leaderboard.table.rows`, all of one suite.
        level: The level of the headings. The first section has none if it is greater than 2.
        is_committed: Whether the page is committed, so that names and dates are links; `definitions` has their targets.
    """
    claims, mark = rows.to_dict("records"), "#" * level
    sources = [*dict.fromkeys(row["source"] for row in claims if row["source"])]
    numbers = {source: str(place) for place, source in enumerate(sources, 1)}
    parts = [f"{mark} Claims"] if level == 2 else []
    parts.append(_table(claims, [_claim(row, numbers) for row in claims], is_linked=is_committed))
    if audited := [row for row in claims if row["audit"]]:
        parts += [f"{mark} {AUDITS}", _table(audited, _audits(audited), is_linked=is_committed)]
    if run := [row for row in claims if row["n"]]:
        parts += [f"{mark} {RUNS}", _table(run, _runs(run, is_linked=is_committed), is_linked=is_committed)]
    if sources:
        listed = "\n".join(f"{place}. {markdown(source)}" for source, place in numbers.items())
        parts += [f"{mark} {SOURCES}", listed]
    return parts


def definitions(rows: pd.DataFrame) -> str:
    """Return the targets of the links of a committed page: the recipes of entries, and the records behind runs."""
    recipes = {row["entry"]: recipe_path(row["entry"], row["suite"], ROOT) for row in rows.to_dict("records")}
    return link_definitions(recipes | evidence_targets(rows.loc[rows["n"] > 0, "entry"], "../"))


def _table(claims: Sequence[Row], shown: Sequence[Cells], *, is_linked: bool) -> str:
    """Return a table of claims: with a column of entries, or with a row above the claims of each entry.

    Columns without any value are left out.
    """
    names = [str(row["entry"]) for row in claims]
    used = [name for name in shown[0] if any(row[name] for row in shown)]
    shown = [{name: row[name] for name in used} for row in shown]
    if len(set(names)) == len(names) and max(map(len, names)) <= LONGEST_NAME:
        return markdown_table(
            [{"entry": entry_name(name, is_linked=is_linked), **row} for name, row in zip(names, shown, strict=True)],
            widest=NARROW,
        )
    grouped: list[Cells] = []
    for place, (name, row) in enumerate(zip(names, shown, strict=True)):
        if not place or names[place - 1] != name:
            grouped.append({**dict.fromkeys(row, ""), "claim": f"**{entry_name(name, is_linked=is_linked)}**"})
        grouped.append(row)
    return markdown_table(grouped, widest=NARROW)


def _claim(row: Row, numbers: dict[str, str]) -> Cells:
    return {
        "claim": markdown(claim_title(row)),
        "claimed": _unbroken_spread(
            format_mean(row["reference"], row["sigma"], row["reference_runs"], row["decimals"])
        ),
        "measured": _unbroken_spread(format_mean(row["measured"], row["spread"], row["n"], row["decimals"])),
        "verdict": str(row["label"]),
        "source": numbers.get(row["source"], ""),
    }


def _unbroken_spread(mean: str) -> str:
    """Return a mean whose line can break before the standard deviation and before the number of runs only."""
    return mean.replace("± ", f"±{NO_BREAK}").replace(" = ", f"{NO_BREAK}={NO_BREAK}")


def _audits(claims: Sequence[Row]) -> list[Cells]:
    """Return what arithmetic says about the digits of each claim."""
    titles = short_titles(claims)
    return [{"claim": title, "audit": markdown(row["audit"])} for title, row in zip(titles, claims, strict=True)]


def _runs(claims: Sequence[Row], *, is_linked: bool) -> list[Cells]:
    """Return the difference, and the last of the runs that judge each claim."""
    return [
        {
            "claim": title,
            "difference": difference_cell(row),
            "excluded losses": row["excluded"].removeprefix("losses ").removesuffix(" are excluded"),
            "last run": evidence_link(row["entry"], row["date"], is_linked=is_linked)
            + f"<br>{markdown(row['environment'])}",
        }
        for title, row in zip(short_titles(claims), claims, strict=True)
    ]


def short_titles(claims: Sequence[Row]) -> list[str]:
    """Return the shortest title of each claim that no other of these claims of its entry has."""
    counts = Counter((row["entry"], title) for row in claims for title in _titles(row))
    return [
        next((title for title in _titles(row) if counts[row["entry"], title] == 1), _titles(row)[-1]) for row in claims
    ]


def _titles(row: Row) -> list[str]:
    """Return titles of a claim, each with more than the one before it."""
    short, title = f"{KINDS[row['of']]}: {markdown(row['metric'])}", markdown(claim_title(row))
    value = f", claimed {format_score(row['reference'], row['decimals']) or 'without a value'}"
    return [short, title, short + value, title + value, f"{title}{value} by {markdown(row['source'])}"]
