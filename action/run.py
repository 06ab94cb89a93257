"""Run zoo for the GitHub Action: write its report, the summary of the job and the outputs of the step.

This script needs only the standard library, and reads zoo's JSON: the input `zoo` may install another version of zoo.
The step succeeds whatever zoo returns. The last step of the action returns zoo's exit code, after the comment.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

NOT_JUDGED = ("not-compared", "not-run")
NOTHING_JUDGED = 3
"""The exit code of zoo if claims are not compared or not run."""
SEVERITY = ("not-reproduced", "inconclusive", "not-compared", "not-run", "reproduced")
RECORDS, MARKER = "zoo-records", "written-by-the-action.txt"
"""The folder of the records in the report, and the file that says that the action wrote this folder."""
MARKUP = re.compile(r"[\\`*~\[\]|]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/(?=/)|(?<=www)\.")
"""Characters with a meaning in Markdown, and parts of addresses that become links, as in `zoo.safe_text`."""


def arguments(inputs: Mapping[str, str]) -> list[str]:
    """Return the arguments of zoo. No shell reads them, so an input cannot start another command."""
    command, targets, further = inputs["INPUT_COMMAND"], words(inputs, "targets"), words(inputs, "arguments")
    if command == "verify":
        suite = ["--suite", inputs["INPUT_SUITE"]] if inputs["INPUT_SUITE"] else []
        reports = ["--junit", inputs["INPUT_JUNIT"], "--fail-on", inputs["INPUT_FAIL_ON"], "--json"]
        return ["verify", *targets, *suite, *further, *reports]
    if command == "diff" and inputs["INPUT_BASELINE"] and len(targets) == 1:
        return ["diff", inputs["INPUT_BASELINE"], *targets, *further, "--json"]
    if command == "diff":
        sys.exit("::error::The command 'diff' needs the input 'baseline' and exactly one of 'targets'.")
    sys.exit(f"::error::Unknown command {command!r}. The input 'command' is 'verify' or 'diff'.")


def words(inputs: Mapping[str, str], name: str) -> list[str]:
    """Return the words of an input, as a shell splits them."""
    try:
        return shlex.split(inputs[f"INPUT_{name.upper()}"])
    except ValueError:
        sys.exit(f"::error::The input {name!r} has a quote that is not closed.")


def run(inputs: Mapping[str, str]) -> None:
    """Run zoo, and write the report, the summary and the outputs."""
    command = [sys.executable, "-P", "-m", "zoo", *arguments(inputs)]  # -P: no module of the working folder is imported
    folder = Path(inputs["INPUT_REPORT"])
    remove_earlier_records(folder / RECORDS)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.md").write_text("")
    Path(inputs["INPUT_JUNIT"]).parent.mkdir(parents=True, exist_ok=True)
    summary = str((folder / "summary.md").resolve())
    environment = {**inputs, "GITHUB_STEP_SUMMARY": summary, "PYTHONSAFEPATH": "1"}  # -P for the processes of --jobs
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    (folder / "zoo.json").write_text(done.stdout, encoding="utf-8")
    data = _parsed(done.stdout)
    code, note = code_and_note(data.get("summary", {}), done.returncode, inputs["INPUT_FAIL_ON"])
    if note:
        sys.stdout.write(f"::{'error' if code else 'warning'} title=zoo::{note}\n")
    _write_summary(folder, data, code, note)
    _copy_records(folder, data)
    _write_outputs(folder, data, code)


def remove_earlier_records(records: Path) -> None:
    """Remove the records of an earlier use of the action in this job, but no folder of the user."""
    if (records / MARKER).is_file() and not records.is_symlink():
        shutil.rmtree(records)
    elif os.path.lexists(records):
        sys.exit(f"::error title=zoo::{records} exists, and the action did not write it. Set the input 'report'.")


def code_and_note(counts: Mapping[str, int], code: int, fail_on: str) -> tuple[int, str]:
    """Return the exit code of the job, and a sentence if zoo succeeded without judging a claim.

    Args:
        counts: The number of entries of each verdict.
        code: The exit code of zoo.
        fail_on: The verdicts that fail the job. With `none` such a job passes.
    """
    unjudged = {verdict: counts[verdict] for verdict in NOT_JUDGED if counts.get(verdict)}
    if code or not unjudged or sum(counts.values()) > sum(unjudged.values()):
        return code, ""
    found = ", ".join(f"{count} {verdict}" for verdict, count in unjudged.items())
    note = f"No claim was judged ({found}), so this job shows nothing about the scores. The report has the reasons."
    return (0 if "none" in fail_on.split(",") else NOTHING_JUDGED), note


def _parsed(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):  # zoo ended with an error, which it has printed
        return {}


def _write_summary(folder: Path, data: Mapping[str, Any], code: int, note: str) -> None:
    """Complete the summary that zoo wrote, and append it to the summary of the job."""
    path = folder / "summary.md"
    text = path.read_text(encoding="utf-8")
    if not text:
        text = diff_table(data) if "splits" in data else f"## zoo\n\nzoo ended with exit code {code}; see the log.\n"
    text += f"\n**{note}**\n" if note else ""
    path.write_text(text, encoding="utf-8")
    if name := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(text)


def diff_table(data: Mapping[str, Any]) -> str:
    """Return Markdown with the scores of both runs on each split, and the 95 % interval of their difference."""
    rows = ["## zoo diff", "", "| split | metric | A | B | B - A | 95 % interval |", "|:--|:--|--:|--:|--:|:--|"]
    for split in data["splits"] or ():
        for metric in split.get("metrics") or ():
            names = [_cell(split.get("split")), _cell(metric.get("metric"))]
            scores = [_number(metric.get(run), ".4f") for run in ("a", "b")]
            difference = _number(metric.get("difference"), "+.4f")
            rows.append(f"| {' | '.join([*names, *scores, difference, _interval(metric)])} |")
    return "\n".join(rows) + "\n"


def _interval(metric: Mapping[str, Any]) -> str:
    low, high = (_number(metric.get(end), "+.4f") for end in ("low", "high"))
    return f"{low} to {high}" if low and high else _cell(metric.get("why"))


def _number(value: object, how: str) -> str:
    return format(value, how) if isinstance(value, int | float) else _cell(value)


def _cell(value: object) -> str:
    """Return a text as a cell of a table, on one line and without markup, HTML, links and mentions of people."""
    text = escape(" ".join(str("" if value is None else value).split()), quote=False)
    return re.sub(r"([@#])(?=\w)", "\\1\u200b", MARKUP.sub(r"\\\g<0>", text))


def _copy_records(folder: Path, data: Mapping[str, Any]) -> None:
    for entry in data.get("entries") or ():
        for record in map(Path, entry.get("records") or ()):
            if record.exists():
                target = folder / RECORDS / str(entry.get("entry")) / record.parent.name
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(record, target)
                (folder / RECORDS / MARKER).write_text("The GitHub Action of zoo replaces this folder.\n")


def _write_outputs(folder: Path, data: Mapping[str, Any], code: int) -> None:
    counts = data.get("summary", {})
    outputs = {
        "exit-code": str(code),
        "report": str(folder / "zoo.json"),
        "verdict": next((verdict for verdict in SEVERITY if counts.get(verdict)), ""),
        "verdicts": json.dumps(counts),
    }
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={' '.join(value.splitlines())}\n" for name, value in outputs.items())


if __name__ == "__main__":
    run(os.environ)
