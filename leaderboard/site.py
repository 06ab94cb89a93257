"""Write the leaderboard as a static site: pages of claims, entries, methods, gains and verdicts, records, and exports.

Equal records give equal bytes. Neither this module nor the pages use a network.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from harness.judging.types import VERDICTS_BY_SEVERITY
from harness.records.check import verify_all
from harness.records.record import RecordedRun
from leaderboard import claim_table, entry_page, methods, page, table
from leaderboard.cells import KINDS, VERDICT_MEANINGS
from leaderboard.entry_page import RECORDS, record_file
from leaderboard.exports import export_files
from leaderboard.text_pages import TextPage, to_html
from zoo import paths
from zoo.errors import UsageError
from zoo.files import write_atomically
from zoo.recipes.catalogue import Entry, entries
from zoo.text_tables import counted

MARKER = ".zoo-site"
"""The file that marks a folder as a site of zoo."""
ENTRIES, SUITES = "entries", "suites"
TEMPLATES = Path(__file__).with_name("templates")
ASSETS = ("site.css", "site.js")
PATTERNS = ("*.html", f"{ENTRIES}/*.html", f"{SUITES}/*.html", f"{RECORDS}/*/*.json")
"""The files that another catalogue or other records would not give."""


def write(evidence: Path, folder: Path, chosen: Sequence[Entry] | None = None) -> list[Path]:
    """Write the site into a folder and return its files.

    The folder is created if it is missing. Pages and records of an older site that no longer exist are deleted.

    Args:
        evidence: The folder of the records.
        folder: The folder of the site: new, empty, or an older site of zoo.
        chosen: The entries; None for all shipped entries.

    Raises:
        UsageError: The folder holds something else. Nothing is written.
        IntegrityError: A prediction file differs from the recorded one. Nothing is written.
    """
    _check_folder(folder)
    texts = render(evidence, chosen)
    for name, text in texts.items():
        write_atomically(folder / name, text)
    for pattern in PATTERNS:
        for old in folder.glob(pattern):
            if old.relative_to(folder).as_posix() not in texts:
                old.unlink()
    return [folder / name for name in texts]


def render(evidence: Path, chosen: Sequence[Entry] | None = None) -> dict[str, str]:
    """Return the files of the site: path in the site -> text. Raises IntegrityError."""
    records = verify_all(evidence)
    of_site = entries() if chosen is None else list(chosen)
    names = {entry.name for entry in of_site}
    shown = [(path, record) for path, record in records if record.entry in names]
    judged, texts = table.judge_records(evidence, chosen), _text_pages(evidence, chosen)
    rows, templates = table.to_frame(judged), _templates([(page.file, page.title) for page in texts])
    values = _index(rows, claim_table.claims_to_show(rows, judged), of_site, shown)
    index = templates.get_template("index.html").render(root="", file="index.html", **values)
    return {
        MARKER: "Written by `zoo leaderboard --html`, which may replace it.\n",
        "index.html": index,
        **{name: (TEMPLATES / name).read_text(encoding="utf-8") for name in ASSETS},
        "verdicts.svg": (paths.docs() / "verdicts.svg").read_text(encoding="utf-8"),
        **export_files(rows),
        **_render_texts(texts, of_site, templates.get_template("text.html")),
        **_suite_pages(values, templates.get_template("suite.html")),
        **_entry_pages(of_site, judged, rows, shown, templates.get_template("entry.html")),
        **{record_file(record): path.read_text(encoding="utf-8") for path, record in shown},
    }


def breakable(text: str) -> Markup:
    """Escape a long name for HTML and let it break after an underscore or a slash."""
    escaped = str(escape(text))
    return Markup(escaped.replace("_", "_<wbr>").replace("/", "/<wbr>"))  # noqa: S704 - escaped above


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise UsageError(f"{folder}: the folder holds something other than a leaderboard site; use a new or empty one")


def _templates(texts: list[tuple[str, str]]) -> jinja2.Environment:
    """Return the templates, whose navigation leads to the index and to these pages: file and title."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    environment.globals["site"] = [("index.html", "Claims"), *texts]
    return environment


def _text_pages(evidence: Path, chosen: Sequence[Entry] | None) -> list[TextPage]:
    """Return the pages of methods (of the shipped catalogue), of gains (if there are any), of verdicts and audits."""
    texts, gains = [], table.gains(evidence, chosen)
    if chosen is None:
        text = f"# Methods\n\n{methods.render(evidence)}"
        texts.append(TextPage(file="methods.html", title="Methods", source="leaderboard/methods.md", text=text))
    if len(gains):
        linked = page.gains_table(gains, entries() if chosen is None else chosen)
        text = f"# {page.GAINS}\n\n{page.GAINS_TEXT}\n\n{linked}"
        texts.append(TextPage(file="gains.html", title="Gains", source="leaderboard/README.md", text=text))
    for name, title in (("verdicts", "How verdicts are made"), ("audit", "How claims are audited")):
        text = (paths.docs() / f"{name}.md").read_text(encoding="utf-8")
        texts.append(TextPage(file=f"{name}.html", title=title, source=f"docs/{name}.md", text=text))
    return texts


def _render_texts(texts: list[TextPage], of_site: list[Entry], template: jinja2.Template) -> dict[str, str]:
    """Return the pages that are written in Markdown: file -> text."""
    targets = {text.source: text.file for text in texts} | {"docs/verdicts.svg": "verdicts.svg"}
    for entry in of_site:
        targets[f"configs/{entry.suite}"] = f"{SUITES}/{entry.suite}.html"
        targets[f"leaderboard/suites/{entry.suite}.md"] = f"{SUITES}/{entry.suite}.html"
        targets[f"configs/{entry.suite}/{entry.name}.yaml"] = f"{ENTRIES}/{entry.name}.html"
        targets[f"leaderboard/records/{entry.name}"] = f"{ENTRIES}/{entry.name}.html#records"
    pages = [(text, to_html(text, targets)) for text in texts]
    return {text.file: template.render(root="", file=text.file, title=text.title, text=html) for text, html in pages}


def _suite_pages(index: dict[str, Any], template: jinja2.Template) -> dict[str, str]:
    """Return the page of each suite, from the values of the index: file -> text."""
    pages = {}
    for suite in index["counts"]:
        claims = [claim for claim in index["claims"] if claim["suite"] == suite["name"]]
        of_suite = {"suite": suite["name"], "numbers": suite["numbers"], "note": suite["note"], "claims": claims}
        text = template.render(root="../", file="", **{**index, **of_suite, "count": counted(len(claims), "claim")})
        pages[f"{SUITES}/{suite['name']}.html"] = text
    return pages


def _index(
    rows: pd.DataFrame, claims: list[dict[Any, Any]], of_site: list[Entry], records: list[RecordedRun]
) -> dict[str, Any]:
    """Return the values of the index page: measured claims first, otherwise in the order of the catalogue.

    Args:
        rows: The claims of the entries.
        claims: The same claims, in the same order, as the template shows them.
        of_site: The entries of the site.
        records: The records of these entries.
    """
    counts = Counter(rows["verdict"] if len(rows) else ())
    runs, without = Counter(record.entry for _, record in records), table.without_claims(of_site, rows)
    return {
        "summary": _summary(len(rows), len(of_site) - len(without), len(without), len(records)),
        "count": counted(len(rows), "claim"),
        "claims": sorted(claims, key=lambda claim: claim["n"] == 0),
        "counts": claim_table.counts_of_suites(rows),
        "without_claims": [(entry.name, entry.suite, counted(runs[entry.name], "recorded run")) for entry in without],
        "note": page.only_references_text(rows) if len(rows) else "",
        "verdicts": [(name, counts[name], meaning) for name, meaning in VERDICT_MEANINGS.items()],
        "severity_ranks": {name: rank for rank, name in enumerate(VERDICTS_BY_SEVERITY)},
        "suites": sorted(set(rows["suite"])) if len(rows) else [],
        "kinds": KINDS,
    }


def _summary(claims: int, claimed: int, unclaimed: int, runs: int) -> str:
    """Return how many claims, entries with and without claims, and runs the site has."""
    of_entries = [f"{counted(claims, 'claim')} of {counted(claimed, 'entry', 'entries')}"] if claims else []
    others = [f"{counted(unclaimed, 'entry', 'entries')} without claims"] if unclaimed else []
    return "; ".join([*of_entries, *others, counted(runs, "recorded run")])


def _entry_pages(
    of_site: list[Entry],
    judged_claims: list[table.JudgedClaim],
    rows: pd.DataFrame,
    records: list[RecordedRun],
    template: jinja2.Template,
) -> dict[str, str]:
    """Return the page of each entry. The links to the previous and next entry follow the order of the catalogue."""
    claims, judged, of_entry = defaultdict(list), defaultdict(list), defaultdict(list)
    for row in rows.to_dict("records"):
        claims[row["entry"]].append(row)
    already_read = {}  # these entries have read their recipes
    for entry, judgement, used in judged_claims:
        already_read[entry.name] = entry
        judged[entry.name].append((judgement, used))
    for path, record in records:
        of_entry[record.entry].append((path, record))
    ordered, pages = [already_read.get(entry.name, entry) for entry in of_site], {}
    for place, entry in enumerate(ordered):
        neighbors = {
            "before": ordered[place - 1].name if place else "",
            "after": "".join(e.name for e in ordered[place + 1 :][:1]),
        }
        context = entry_page.page_context(entry, claims[entry.name], judged[entry.name], of_entry[entry.name])
        pages[f"{ENTRIES}/{entry.name}.html"] = template.render(root="../", file="", **neighbors, **context)
    return pages
