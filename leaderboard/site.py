"""The leaderboard as a static site: an index, a page for each entry, and the same rows as CSV, JSON and Markdown.

The same records give the same bytes. Nothing is read from a network, neither here nor by the pages.
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from harness.judging.judge_runs import RecordedRun
from harness.judging.types import GRAVITY
from harness.records.record import read_all, verify_files
from leaderboard import entry_page, table
from leaderboard.cells import KINDS, claim_cells, sort_values
from leaderboard.exports import export_files
from zoo.errors import UsageError
from zoo.recipes.catalogue import Entry, entries

MARKER = ".zoo-site"
"""The file that tells a folder of ours from others."""
ENTRIES = "entries"
TEMPLATES = Path(__file__).with_name("templates")
ASSETS = ("site.css", "site.js")
VERDICTS = {
    "reproduced": "the score was found again: equal up to its decimals, or of a re-training equivalent within the"
    " spread of its seeds",
    "not-reproduced": "what was measured lies outside what a correct re-run would give, below or above",
    "inconclusive": "the runs so far can tell neither; the entry says how many more would",
    "not-compared": "nothing like it was measured: hidden labels, another split or number of examples, no recorded"
    " value",
    "not-run": "there is no committed run of the recipe as it is now, but perhaps those of its reference",
}
"""Verdict -> what it means."""


def write(evidence: Path, folder: Path) -> list[Path]:
    """Write the site into a folder, which is made if missing, and return its files.

    Pages of entries that are no more are removed. Raises UsageError for a folder that holds something else, and
    IntegrityError where predictions are not the recorded ones; nothing is written then.
    """
    _check_ours(folder)
    texts = render(evidence)
    (folder / ENTRIES).mkdir(parents=True, exist_ok=True)
    written = [_put(folder / name, text) for name, text in texts.items()]
    for page in (folder / ENTRIES).glob("*.html"):
        if page not in written:
            page.unlink()
    return written


def render(evidence: Path) -> dict[str, str]:
    """Path in the site -> text."""
    records = read_all(evidence)
    for path, record in records:
        verify_files(path, record)
    judged, templates = table.judge_records(evidence), _templates()
    rows = table.to_frame(judged)
    index = templates.get_template("index.html").render(root="", **_index(rows, entries(), records))
    return {
        MARKER: "A site that `zoo leaderboard --html` wrote, and may write anew.\n",
        "index.html": index,
        **{name: (TEMPLATES / name).read_text(encoding="utf-8") for name in ASSETS},
        **export_files(rows),
        **_entry_pages(judged, rows, records, templates.get_template("entry.html")),
    }


def breakable(text: str) -> Markup:
    """A long name, escaped, that may break after an underscore or a slash."""
    escaped = str(escape(text))
    return Markup(escaped.replace("_", "_<wbr>").replace("/", "/<wbr>"))  # noqa: S704 - escaped above


def _check_ours(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is no folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise UsageError(f"{folder}: holds something else than a leaderboard's site; name a new or empty folder")


def _put(path: Path, text: str) -> Path:
    """Write a file that is seen whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    return partial.replace(path)


def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = breakable
    return made


def _index(rows: pd.DataFrame, known: list[Entry], records: list[RecordedRun]) -> dict[str, Any]:
    """What the index shows: what was measured first, and else in the catalogue's order."""
    counts = Counter(rows["verdict"])
    found = sorted(rows.to_dict("records"), key=lambda row: row["n"] == 0)
    return {
        "claims": [{**row, **claim_cells(row), "values": sort_values(row)} for row in found],
        "verdicts": [(name, counts[name], meaning) for name, meaning in VERDICTS.items()],
        "gravity": {name: place for place, name in enumerate(GRAVITY)},
        "suites": sorted({entry.suite for entry in known}),
        "kinds": KINDS,
        "entries": len(known),
        "records": len(records),
    }


def _entry_pages(
    found: list[table.JudgedClaim], rows: pd.DataFrame, records: list[RecordedRun], template: jinja2.Template
) -> dict[str, str]:
    """Each entry's page, in the catalogue's order, which is that of the links to the next and the one before."""
    claims, judged, own = defaultdict(list), defaultdict(list), defaultdict(list)
    for row in rows.to_dict("records"):
        claims[row["entry"]].append(row)
    read = {}  # a recipe is read once an entry
    for entry, judgement, used in found:
        read[entry.name] = entry
        judged[entry.name].append((judgement, used))
    for path, record in records:
        own[record.entry].append((path, record))
    known, pages = [read.get(entry.name, entry) for entry in entries()], {}
    for place, entry in enumerate(known):
        near = {
            "before": known[place - 1].name if place else "",
            "after": "".join(e.name for e in known[place + 1 :][:1]),
        }
        told = entry_page.page_context(entry, claims[entry.name], judged[entry.name], own[entry.name])
        pages[f"{ENTRIES}/{entry.name}.html"] = template.render(root="../", **near, **told)
    return pages
