"""Reports for continuous integration: JUnit XML, and the summary and annotations of GitHub Actions.

All of them are made from the JSON of `zoo verify`, called `data` here.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from tabulate import tabulate

from zoo.errors import SourceError
from zoo.files import write_atomically
from zoo.safe_text import markdown, one_line, printable
from zoo.text_tables import number

DEFAULT_FAILING = ("not-reproduced",)
"""The verdicts that are JUnit failures without `--fail-on`."""
SUMMARY_BYTES = 1_048_576
"""GitHub's limit for the summary of a step."""
ANNOTATIONS = 10
"""GitHub's limit for the annotations of one level in a step."""
NOT_XML = re.compile("[^\\t\\n\\r -\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
LEVELS = {"not-reproduced": "error", "inconclusive": "warning", "not-compared": "notice", "not-run": "warning"}
"""Verdict -> level of its annotation, the worst verdict first."""


class _Case(NamedTuple):
    """A tested claim, or an entry without one."""

    title: str
    verdict: str
    why: str


def junit(data: Mapping[str, Any], seconds: float, failing: Collection[str] = DEFAULT_FAILING) -> bytes:
    """Return JUnit XML with a test suite for each suite, and a test case for each tested claim.

    A `failing` verdict is a failure, an entry that ended with an error is an error, and any other verdict that is not
    `reproduced` is skipped.

    Args:
        data: The JSON of `zoo verify`.
        seconds: How long the command took.
        failing: The verdicts that are failures.
    """
    root = ET.Element("testsuites", name="zoo verify", time=f"{seconds:.3f}")
    totals: Counter[str] = Counter()
    for suite in dict.fromkeys(entry["suite"] for entry in data["entries"]):
        element, counts = ET.SubElement(root, "testsuite", name=_xml_name(suite)), Counter[str]()
        for entry in (entry for entry in data["entries"] if entry["suite"] == suite):
            for case, kind in _test_cases(entry, failing):
                element.append(case)
                counts.update(["tests", *([kind] if kind else [])])
        _set_counts(element, counts)
        totals += counts
    _set_counts(root, totals)
    ET.indent(root, " ")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def write_junit(
    path: Path, data: Mapping[str, Any], seconds: float, failing: Collection[str] = DEFAULT_FAILING
) -> None:
    """Write JUnit XML to a file. Raise SourceError if that is not possible."""
    try:
        write_atomically(path, junit(data, seconds, failing))
    except OSError as error:
        raise SourceError(f"{path}: cannot write the JUnit report: {error.strerror or error}") from None


def annotations(data: Mapping[str, Any], recipes: Mapping[str, str]) -> list[str]:
    """Return GitHub's workflow commands, at most ten of a level; the last one counts those that are left out.

    Args:
        data: The JSON of `zoo verify`.
        recipes: Entry -> path of its recipe, relative to the checkout.
    """
    lines: dict[str, list[str]] = {}
    for entry in data["entries"]:
        for case in _cases(entry):
            if level := ("error" if entry["error"] else LEVELS.get(case.verdict)):
                file = f"file={_property(recipes[entry['entry']])}," if entry["entry"] in recipes else ""
                line = f"::{level} {file}title={_property(one_line(case.title))}::{_message(case.why)}"
                lines.setdefault(level, []).append(line)
    return [line for level, of_level in lines.items() for line in _limited(level, of_level)]


def summary(data: Mapping[str, Any], limit: int = SUMMARY_BYTES) -> str:
    """Return Markdown for the summary of a step: the counts, then a table of claims, the worst verdicts first.

    Args:
        data: The JSON of `zoo verify`.
        limit: The most bytes. Rows are left out to stay below it.
    """
    counts = ", ".join(f"{count} {verdict}" for verdict, count in data["summary"].items() if count)
    order = {verdict: number for number, verdict in enumerate(["error", *LEVELS, "reproduced"])}
    rows = _escaped(sorted(_summary_rows(data), key=lambda row: order[row["verdict"]]))
    head = f"## zoo verify: {counts or 'nothing'}\n\n"
    for length in (len(rows), *(len(rows) * share // 16 for share in range(15, -1, -1))):
        left = len(rows) - length
        text = head + _markdown_table(rows[:length]) + (f"\n\n{left} more rows are left out.\n" if left else "\n")
        if len(text.encode()) <= limit:
            return text
    return ""


def write_summary(data: Mapping[str, Any]) -> None:
    """Append the summary to the file that GitHub names, if it names one."""
    if name := os.environ.get("GITHUB_STEP_SUMMARY"):
        path = Path(name)
        try:
            used = path.stat().st_size if path.exists() else 0
            with path.open("a", encoding="utf-8") as file:
                file.write(summary(data, SUMMARY_BYTES - used))
        except OSError as error:
            raise SourceError(f"{path}: cannot write the step's summary: {error.strerror or error}") from None


def _test_cases(entry: Mapping[str, Any], failing: Collection[str]) -> Iterable[tuple[ET.Element, str | None]]:
    """Return each test case with the count that it adds to, or None if it passed."""
    for case in _cases(entry):
        name = _xml_name(f"{entry['suite']}.{entry['entry']}")
        element = ET.Element("testcase", classname=name, name=_xml_name(case.title))
        kind = "errors" if entry["error"] else "failures" if case.verdict in failing else "skipped"
        if case.verdict != "reproduced":
            tag = {"errors": "error", "failures": "failure", "skipped": "skipped"}[kind]
            ET.SubElement(element, tag, message=_xml_text(f"{case.verdict}: {case.why}"))
        yield element, None if case.verdict == "reproduced" else kind


def _cases(entry: Mapping[str, Any]) -> list[_Case]:
    """Return the tested claims of an entry with unique titles; the entry itself if it failed or tests no claim."""
    name, verdict = entry["entry"], entry["verdict"]
    if entry["error"]:
        return [_Case(name, verdict, entry["error"])]
    claims = [claim for claim in entry["claims"] if claim["tested"]]
    titles = [claim["name"] for claim in claims]
    titles = [f"{t}, claimed {c['claimed']}" if titles.count(t) > 1 else t for t, c in zip(titles, claims, strict=True)]
    titles = [f"{t} ({titles[:i].count(t) + 1})" if titles.count(t) > 1 else t for i, t in enumerate(titles)]
    pairs = zip(titles, claims, strict=True)
    cases = [_Case(f"{name}: {title}", claim["verdict"], _reason(claim)) for title, claim in pairs]
    return cases or [_Case(name, verdict, "the entry has no claim to test")]


def _reason(claim: Mapping[str, Any]) -> str:
    decimals = claim["decimals"]
    scores = [f"{name} {number(claim[name], decimals)}" for name in ("claimed", "measured") if claim[name] is not None]
    return f"{', '.join(scores)}: {claim['why']}" if scores else str(claim["why"])


def _summary_rows(data: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"claim": title, "verdict": "error" if entry["error"] else verdict, "why": why.splitlines()[0] if why else ""}
        for entry in data["entries"]
        for title, verdict, why in _cases(entry)
    ]


def _escaped(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [{name: markdown(text) for name, text in row.items()} for row in rows]


def _markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    return tabulate(rows, headers="keys", tablefmt="pipe", disable_numparse=True)


def _limited(level: str, lines: list[str]) -> list[str]:
    if len(lines) <= ANNOTATIONS:
        return lines
    more = len(lines) - ANNOTATIONS + 1
    return [
        *lines[: ANNOTATIONS - 1],
        f"::{level} title=zoo verify::and {more} more; the step's summary lists them all",
    ]


def _set_counts(element: ET.Element, counts: Counter[str]) -> None:
    for name in ("tests", "failures", "errors", "skipped"):
        element.set(name, str(counts[name]))


def _xml_name(text: str) -> str:
    return one_line(NOT_XML.sub("", text))


def _xml_text(text: str) -> str:
    return printable(NOT_XML.sub("", text))


def _message(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
