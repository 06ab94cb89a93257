"""The words that a shell offers when the user presses Tab: entries, suites, recipes, runs, devices and verdicts.

typer prints and installs the scripts (`zoo --install-completion`). A script calls `zoo` again with the words so far.
"""

import os
import re
from collections.abc import Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import typer

from zoo import paths
from zoo.cli.exit_codes import OF_VERDICT
from zoo.recipes import catalogue
from zoo.suites.known import ORIGINS, SUITES

INSTRUCTION = "_ZOO_COMPLETE"
"""The environment variable that asks for completions instead of running a command."""
BASH = "complete_bash"
OFFERED = re.compile(r"[\w.@+,=:/~-]+")
"""zsh evaluates what it is offered, and files have names from strangers: any other name is left out."""
PREFIX = "_ZOO_COMPLETE_PREFIX"
"""The environment variable with the part of the word before the last `:` or `=`, where bash splits words."""
SPLITS = {":", "="}
RUN_FOLDER = re.compile(r"(?:retrain-seed(\d+)|(weights))-.+")
DEVICES = ("auto", "cpu", "cuda", "mps")


def join_words(environment: MutableMapping[str, str]) -> None:
    """Join the words that bash has split at `:` and `=`, in the variables of its completion.

    The part of the word to complete up to the last of these characters moves to PREFIX: bash replaces only the rest.
    """
    if environment.get(INSTRUCTION) != BASH or "\n" not in environment.get("COMP_WORDS", ""):
        return
    words = environment["COMP_WORDS"].split("\n")[: int(environment.get("COMP_CWORD", "0")) + 1]
    joined: list[str] = []
    for word in words:
        if word == "=" and joined[-1].startswith("--"):
            continue  # the value of an option is a word of its own
        if joined and (word in SPLITS or joined[-1][-1:] in SPLITS):
            joined[-1] += word
        else:
            joined.append(word)
    if words[-1] == "=" and not joined[-1].endswith("="):
        joined.append("")
    prefix = joined[-1][: _end_of_prefix(joined[-1])] if SPLITS & {*words[-2:]} else ""
    joined[-1] = joined[-1].removeprefix(prefix)
    environment.update({"COMP_WORDS": "\n".join(joined), "COMP_CWORD": str(len(joined) - 1), PREFIX: prefix})


def _end_of_prefix(word: str) -> int:
    return max(word.rfind(split) for split in SPLITS) + 1


def complete_entries(incomplete: str) -> list[str]:
    """Return entries and suites that begin like this, and recipe files."""
    names = [entry.name for entry in catalogue.entries()]
    return _offered([*names, *_generated(incomplete), *_suites(), *_recipe_files(incomplete)], incomplete)


def complete_suites(incomplete: str) -> list[str]:
    """Return the suites that begin like this."""
    return _offered(_suites(), incomplete)


def complete_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return runs as ENTRY:SEED or ENTRY:weights: those of the user and the committed ones."""
    folder, word = paths.runs(_path(ctx.params.get("records"))), os.environ.get(PREFIX, "") + incomplete
    return _offered(_runs([folder, paths.evidence()], word), incomplete)


def complete_devices(incomplete: str) -> list[str]:
    """Return the kinds of devices. Which GPUs there are is not looked up, because that takes seconds."""
    return _offered(DEVICES, incomplete)


def complete_verdicts(incomplete: str) -> list[str]:
    """Return the verdicts behind the last comma."""
    before, comma, _ = incomplete.rpartition(",")
    return _offered([f"{before}{comma}{verdict}" for verdict in (*OF_VERDICT, "none")], incomplete)


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    """Return the names that begin like an incomplete word, without the part that bash does not replace."""
    prefix = os.environ.get(PREFIX, "")
    chosen = {name for name in names if name.startswith(prefix + incomplete) and OFFERED.fullmatch(name)}
    return [name.removeprefix(prefix) for name in sorted(chosen)]


def _suites() -> list[str]:
    return [*{entry.suite: None for entry in catalogue.entries()}, *ORIGINS]


def _generated(incomplete: str) -> Iterator[str]:
    """Yield the entries of the generated suites that this machine has, by the names of their recipe files."""
    for suite in ORIGINS if incomplete else ():
        if incomplete.startswith(f"{suite}-"):
            yield from (file.stem for file in (paths.home() / SUITES).glob(f"{suite}-*/{suite}-*.yaml"))


def _recipe_files(incomplete: str) -> Iterator[str]:
    """Yield the recipe files in the folder of an incomplete path, and its folders if it names one already."""
    start = incomplete.rpartition("/")[0]
    folder = Path(f"{start}/" if start else "/" if incomplete.startswith("/") else ".").expanduser()
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return
    prefix = incomplete[: incomplete.rfind("/") + 1]
    for path in found:
        if path.suffix in catalogue.ENDINGS and not path.name.startswith("."):
            yield f"{prefix}{path.name}"
        elif prefix and path.is_dir():
            yield f"{prefix}{path.name}/"


def _runs(roots: Iterable[Path], incomplete: str) -> Iterator[str]:
    """Yield the runs below folders; without a colon only the names of their entries, of which there are many."""
    entry, colon, _ = incomplete.partition(":")
    for root in roots:
        for folder in _folders(root):
            if colon and folder.name == entry:
                matches = (RUN_FOLDER.fullmatch(run.name) for run in _folders(folder))
                yield from (f"{entry}:{match[1] or match[2]}" for match in matches if match)
            elif not colon and folder.name.startswith(incomplete):
                yield folder.name


def _folders(root: Path) -> list[Path]:
    try:
        return [path for path in root.iterdir() if path.is_dir() and path.name[0] != "."]
    except OSError:
        return []


def _path(value: Any) -> Path | None:
    return None if value is None else Path(value)
