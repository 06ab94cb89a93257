"""Collect what the tables of claims on the site show, and by what their readers search: data set and method."""

from typing import Any

import pandas as pd

from leaderboard import page, table
from leaderboard.cells import claim_anchors, claim_cells, sort_values
from leaderboard.methods import LABELS, method_losses
from zoo.fetch.source_types import UserFolder, parse_or_none
from zoo.recipes.catalogue import Entry


def claims_to_show(rows: pd.DataFrame, judged: list[table.JudgedClaim]) -> list[dict[Any, Any]]:
    """Return the claims with their formatted cells, anchors, data sets and methods.

    Args:
        rows: Rows of `leaderboard.table.rows`.
        judged: The judged claims of the rows, in the same order.
    """
    facts = {entry.name: {"data_set": data_set(entry), "method": method(entry)} for entry, _, _ in judged}
    records = rows.to_dict("records")
    return [
        {**row, **claim_cells(row), **facts[row["entry"]], "anchor": anchor, "values": sort_values(row)}
        for row, anchor in zip(records, claim_anchors(records), strict=True)
    ]


def data_set(entry: Entry) -> str:
    """Return the data set of an entry as its recipe names it, such as `mrpc`, or the name of the user's folder."""
    task = entry.recipe.task
    source = parse_or_none(str(task.args.get("data") or ""))
    folder = source.name if isinstance(source, UserFolder) else None
    return str(task.args.get("name") or folder or task.use)


def method(entry: Entry) -> str:
    """Return the losses of an entry besides those of the labels, such as `KD`; an empty text if it has none."""
    names = dict.fromkeys(call.use for call in method_losses(entry.recipe) if call.use not in LABELS)
    return ", ".join(names)


def counts_of_suites(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each suite its name, and its numbers of claims, of each verdict, and of audited claims.

    `note` says how many claims have no runs but their reference runs.
    """
    return [
        {
            "name": suite,
            "numbers": page.numbers_of_suite(of_suite),
            "note": page.only_references_text(of_suite),
        }
        for suite, of_suite in page.by_suite(rows).items()
    ]
