"""The command that lists suites and the entries of one."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from zoo.api.session import Session
from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.completion import complete_suites
from zoo.cli.options import Json, Where, argument
from zoo.cli.progress import session_of
from zoo.recipes.catalogue import Entry, entries
from zoo.recipes.options import SourceOptions
from zoo.recipes.suite_entries import facts_of
from zoo.safe_text import one_line
from zoo.suites.generated import Facts, Unsupported
from zoo.suites.known import ORIGINS, cached_suite
from zoo.text_tables import counted

MOST_NAMES = 40
"""The most names that are not supported for one reason and are listed."""
SHIPPED = "the recipes in configs/"


@command
def suite(
    sources: SourceOptions,
    name: Annotated[
        str | None, argument("NAME", "The suite whose entries to list. Default: list the suites.", complete_suites)
    ] = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """List the suites, or the entries of one with parameters, input sizes, claims and the size of their weights.

    The recipes of the suites torchvision and timm are made from catalogues of others when the suite is first used.

    Example: zoo suite torchvision --where 'params<30 and img_size<=224'
    """
    session = session_of(sources)
    if name is None and where is None:
        _list_suites(session, as_json)
        return
    chosen = session.entries.select([], [name] if name else [], name is None, where=where, report_unsupported=False)
    facts = [facts_of(entry) for entry in chosen]
    stored = session.entries.suite(name) if name is not None and name in ORIGINS else None
    unsupported = stored.suite.unsupported if stored else ()
    pairs = zip(chosen, facts, strict=True)
    data = {
        "suite": name,
        "from": stored.suite.origin if stored else SHIPPED,
        "entries": [{**row, "not_compared": entry.not_compared or None} for entry, row in pairs],
        "unsupported": [{"name": row.name, "reason": row.reason} for row in unsupported],
    }
    render.emit(data, "\n".join(_entry_lines(chosen, facts, unsupported)), as_json=as_json)


def _list_suites(session: Session, as_json: bool) -> None:
    """Print every suite with its size. A generated suite that is not in the cache is not made for that."""
    data: list[dict[str, Any]] = []
    shipped = entries()
    for name in dict.fromkeys(entry.suite for entry in shipped):
        of_suite = [entry for entry in shipped if entry.suite == name]
        claims = sum(len(entry.recipe.claims) for entry in of_suite if entry.is_readable)
        data.append({"suite": name, "entries": len(of_suite), "claims": claims, "unsupported": 0, "from": SHIPPED})
    sources = session.fetcher()
    for name, origin in ORIGINS.items():
        stored = cached_suite(name, sources)
        counts = (
            {
                "entries": len(stored.suite.entries),
                "claims": sum(entry.facts["claims"] for entry in stored.suite.entries),
                "unsupported": len(stored.suite.unsupported),
            }
            if stored
            else {"entries": None, "claims": None, "unsupported": None}
        )
        data.append({"suite": name, **counts, "from": stored.suite.origin if stored else origin})
    rows = [[row["suite"], *(_cell(row[key]) for key in ("entries", "claims")), row["from"]] for row in data]
    text = render.table(["suite", "entries", "claims", "from"], rows, flexible=(3,))
    unread = [row["suite"] for row in data if row["entries"] is None]
    hint = f"\n\nNot read yet: {', '.join(unread)}. `zoo suite NAME` reads a suite." if unread else ""
    render.emit({"suites": data}, f"{text}{hint}", as_json=as_json)


def _entry_lines(chosen: Sequence[Entry], facts: Sequence[Facts], unsupported: Sequence[Unsupported]) -> Iterator[str]:
    """Yield a table of entries, and why others are not compared or not supported."""
    headers = ["entry", "params (M)", "input", "accuracy", "claims", "MB"]
    columns = ("params", "img_size", "accuracy", "claims", "megabytes")
    rows = [[row["name"], *(_cell(row[column]) for column in columns)] for row in facts]
    yield render.table(headers, rows, flexible=(0,))
    yield f"\n{counted(len(chosen), 'entry', 'entries')}, {counted(sum(row['claims'] or 0 for row in facts), 'claim')}"
    for entry in chosen:
        if entry.not_compared:
            yield render.wrapped(one_line(f"{entry.name} is not compared: {entry.not_compared}"), "")
    for reason, count in Counter(row.reason for row in unsupported).items():
        names = [row.name for row in unsupported if row.reason == reason]
        more = f" and {count - MOST_NAMES} more, which --json lists" if count > MOST_NAMES else ""
        shown = ", ".join(names[:MOST_NAMES]) + more
        yield render.wrapped(one_line(f"{count} not supported: {reason}: {shown}"), "")


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)
