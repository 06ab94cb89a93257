"""The report of a night in Markdown: the text of the pull request and the summary of the job."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.live.night import Night
from leaderboard import page, table
from zoo.recipes.catalogue import Entry
from zoo.safe_text import markdown, one_line

INTRODUCTION = """\
The published weights of these entries were downloaded from the Hub and GitHub, and evaluated on the CPU of a runner.
Each record was added by the rules of `zoo leaderboard --add`. Please read the verdicts before you merge."""

Claim = tuple[str, str, str, str]
"""A claim about published weights: entry, split, metric and source. Two sources may claim different scores."""


def verdicts(evidence: Path, chosen: Sequence[Entry]) -> dict[Claim, dict[str, Any]]:
    """Return the rows of the leaderboard for claims about the published weights of entries, by claim."""
    rows = table.rows(evidence, chosen).to_dict("records") if chosen else []
    return {(row["entry"], row["split"], row["metric"], row["source"]): row for row in rows if row["of"] == "weights"}


def report(
    night: Night,
    *,
    before: Mapping[Claim, Mapping[str, Any]],
    after: Mapping[Claim, Mapping[str, Any]],
    skipped: Mapping[str, str],
) -> str:
    """Return the report.

    Args:
        night: The night.
        before: The verdicts of the entries with new records, before these were added.
        after: The verdicts since then.
        skipped: The entries that cannot be verified on such a machine, and why.
    """
    parts = [
        f"{INTRODUCTION}\n\n{_claims(before, after)}" if after else "No new record.",
        f"Verified tonight: {', '.join(night.verified)}." if night.verified else "",
        _section("Failed", [{"entry": name, **_failure(night, name)} for name in night.failed]),
        _section("Not added", [{"record": markdown(one_line(note))} for note in night.notes]),
        _section("Too long for the time that was left", [{"entry": name} for name in night.too_long]),
        _section("Skipped", [{"entry": name, "why": markdown(why)} for name, why in skipped.items()]),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _claims(before: Mapping[Claim, Mapping[str, Any]], after: Mapping[Claim, Mapping[str, Any]]) -> str:
    rows = [
        {
            "entry": row["entry"],
            "claim": f"{row['metric']} on {row['split']}",
            "claimed": _number(row["reference"]),
            "measured": _number(row["measured"]),
            "before": before[claim]["verdict"],
            "verdict": f"**{row['verdict']}**",
            "why": markdown(one_line(row["why"])),
        }
        for claim, row in after.items()
    ]
    return page.markdown_table(rows)


def _number(value: Any) -> str:
    """Return a score with seven digits; nothing for one that is missing."""
    return "" if value is None or math.isnan(value) else f"{value:.7g}"


def _failure(night: Night, name: str) -> dict[str, Any]:
    attempt = night.attempts[name]
    return {
        "failures in a row": attempt.failures,
        "next try": attempt.next_try.isoformat(),
        "problem": markdown(one_line(attempt.problem)),
    }


def _section(title: str, rows: list[dict[str, Any]]) -> str:
    return f"### {title}\n\n{page.markdown_table(rows)}" if rows else ""
