"""What continuous integration reads of a verification: JUnit's XML, and GitHub's summary and annotations."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tabulate import tabulate

from zoo.cli.render import number
from zoo.errors import SourceError

DEFAULT_FAILING = ("not-reproduced",)
"""The verdicts that fail a build unless it is said otherwise."""
SUMMARY_BYTES, ANNOTATIONS = 1_048_576, 10
"""GitHub's limits: of a step's summary, and of a step's annotations of one kind."""
NO_XML = re.compile("[^\\t\\n\\r -\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
KINDS = {"not-reproduced": "error", "inconclusive": "warning", "not-compared": "notice", "not-run": "warning"}


def junit(found: Mapping[str, Any], seconds: float, failing: Collection[str] = DEFAULT_FAILING) -> bytes:
    """`verify --json` as JUnit's XML: a suite for each of ours, a case for each entry and claim that was asked for.

    A verdict that is `failing` is a failure, what ended an entry an error, any other that is not `reproduced` skipped.
    """
    root = ET.Element("testsuites", name="zoo verify", time=f"{seconds:.3f}")
    totals: Counter[str] = Counter()
    for suite in dict.fromkeys(entry["suite"] for entry in found["entries"]):
        element, counts = ET.SubElement(root, "testsuite", name=suite), Counter[str]()
        for entry in (one for one in found["entries"] if one["suite"] == suite):
            for case, kind in _cases(entry, failing):
                element.append(case)
                counts.update(["tests", *([kind] if kind else [])])
        _count(element, counts)
        totals += counts
    _count(root, totals)
    ET.indent(root, " ")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def write_junit(
    path: Path, found: Mapping[str, Any], seconds: float, failing: Collection[str] = DEFAULT_FAILING
) -> None:
    """Write the XML to a file, whose folder is made; raises SourceError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(junit(found, seconds, failing))
    except OSError as error:
        raise SourceError(f"{path}: cannot write there: {error.strerror or error}") from None


def annotations(found: Mapping[str, Any], places: Mapping[str, str]) -> list[str]:
    """Workflow commands, at most ten of a kind, the last of which says how many more there are.

    `places` are the entries' recipes, relative to the checkout.
    """
    lines: dict[str, list[str]] = {}
    for entry in found["entries"]:
        for title, verdict, why in _told(entry):
            if kind := ("error" if entry["error"] else KINDS.get(verdict)):
                at = f"file={_property(places[entry['entry']])}," if entry["entry"] in places else ""
                lines.setdefault(kind, []).append(f"::{kind} {at}title={_property(title)}::{_message(why)}")
    return [line for kind, told in lines.items() for line in _limited(kind, told)]


def summary(found: Mapping[str, Any], limit: int = SUMMARY_BYTES) -> str:
    """Markdown for a step's summary: counts, then a table of claims, the gravest first, as many as `limit` bytes."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in found["summary"].items() if count)
    order = {verdict: number for number, verdict in enumerate(["error", *KINDS, "reproduced"])}
    rows = sorted(_rows(found), key=lambda row: order[row["verdict"]])
    head = f"## zoo verify: {counts or 'nothing'}\n\n"
    for kept in (len(rows), *(len(rows) * share // 16 for share in range(15, -1, -1))):
        left = len(rows) - kept
        text = head + _table(rows[:kept]) + (f"\n\n{left} more rows are left out.\n" if left else "\n")
        if len(text.encode()) <= limit:
            return text
    return ""


def write_summary(found: Mapping[str, Any]) -> None:
    """Append to the step's summary, where GitHub names a file for it."""
    if name := os.environ.get("GITHUB_STEP_SUMMARY"):
        path = Path(name)
        taken = path.stat().st_size if path.exists() else 0
        with path.open("a", encoding="utf-8") as file:
            file.write(summary(found, SUMMARY_BYTES - taken))


def _cases(entry: Mapping[str, Any], failing: Collection[str]) -> Iterable[tuple[ET.Element, str | None]]:
    for title, verdict, why in _told(entry):
        named = _printable(f"{entry['suite']}.{entry['entry']}")
        case = ET.Element("testcase", classname=named, name=_printable(title))
        kind = "errors" if entry["error"] else "failures" if verdict in failing else "skipped"
        if verdict != "reproduced":
            tag = {"errors": "error", "failures": "failure", "skipped": "skipped"}[kind]
            ET.SubElement(case, tag, message=_printable(f"{verdict}: {why}"))
        yield case, None if verdict == "reproduced" else kind


def _told(entry: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Title, verdict and reason of each claim that was asked for; of an entry that has none, its own."""
    if entry["error"]:
        return [(entry["entry"], entry["verdict"], entry["error"])]
    asked = [claim for claim in entry["claims"] if claim["asked"]]
    titles = [f"{claim['of']} {claim['metric']} on {claim['split']}" for claim in asked]
    titles = [f"{t}, claimed {c['claimed']}" if titles.count(t) > 1 else t for t, c in zip(titles, asked, strict=True)]
    titles = [f"{t} ({titles[:i].count(t) + 1})" if titles.count(t) > 1 else t for i, t in enumerate(titles)]
    told = [(f"{entry['entry']}: {t}", c["verdict"], _numbers(c)) for t, c in zip(titles, asked, strict=True)]
    return told or [(entry["entry"], entry["verdict"], "nothing of it is claimed")]


def _numbers(claim: Mapping[str, Any]) -> str:
    shown = [f"{name} {number(claim[name])}" for name in ("claimed", "measured") if claim[name] is not None]
    return f"{', '.join(shown)}: {claim['why']}" if shown else str(claim["why"])


def _rows(found: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"claim": title, "verdict": "error" if entry["error"] else verdict, "why": why.splitlines()[0] if why else ""}
        for entry in found["entries"]
        for title, verdict, why in _told(entry)
    ]


def _table(rows: list[dict[str, str]]) -> str:
    cells = [{name: _cell(text) for name, text in row.items()} for row in rows]
    return tabulate(cells, headers="keys", tablefmt="pipe", disable_numparse=True)


def _cell(text: str) -> str:
    """A text as a cell of a table: on one line, and nothing in it is Markdown's or HTML's."""
    return escape(" ".join(text.split()), quote=False).replace("\\", r"\\").replace("|", r"\|")


def _limited(kind: str, lines: list[str]) -> list[str]:
    if len(lines) <= ANNOTATIONS:
        return lines
    more = len(lines) - ANNOTATIONS + 1
    return [*lines[: ANNOTATIONS - 1], f"::{kind} title=zoo verify::and {more} more; the step's summary has them all"]


def _count(element: ET.Element, counts: Counter[str]) -> None:
    for name in ("tests", "failures", "errors", "skipped"):
        element.set(name, str(counts[name]))


def _printable(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return NO_XML.sub("", text)


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
