"""Find the record that a user names on the command line."""

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.records.find_runs import FoundRun, find_runs
from harness.records.record import FILE
from zoo.errors import UsageError, did_you_mean
from zoo.fetch.source_types import HF, HUB_NAME
from zoo.recipes import catalogue
from zoo.recipes.other_files import is_other_file

NAMED = re.compile(r"(?P<entry>.+?)(:(?P<run>\d+|weights))?")
RECIPES = (".yaml", ".yml")
MOST_LISTED = 12


def find_record(text: str, runs: Path, evidence: Path, name_of: Callable[[str], str]) -> Path:
    """Return the path of the record that a text names.

    Args:
        text: The folder of a run, the path of its record, or ENTRY, ENTRY:SEED or ENTRY:weights.
        runs: The folder of the user's runs, which is searched first.
        evidence: The folder of committed records.
        name_of: Returns the name of the entry of a recipe file, or of a recipe OWNER/NAME on the Hub.

    Raises:
        UsageError: The text names no run or several; the message lists the existing ones.
    """
    path = Path(text).expanduser()
    if (path / FILE).is_file():
        return path / FILE
    if path.is_file() and is_other_file(path) and path.name != FILE:
        raise UsageError(f"{text} is no record of a run; name the folder of a run, or its {FILE}")
    if path.is_file() and path.suffix not in RECIPES:
        return path
    entry, run = _entry_and_run(text, name_of)
    found = {root: find_runs(root, entry) for root in (runs, evidence)}
    if not any(found.values()):
        names = sorted({folder.name for root in found for folder in _folders(root)})
        named = text.removesuffix(f":{run}")
        is_known = entry != named or any(entry == known.name for known in catalogue.entries())
        train = " --train" if run and run.isdecimal() else ""
        hint = f"; make one: zoo reproduce {shlex.quote(named)}{train}" if is_known else did_you_mean(entry, names)
        hint = hint or "; `zoo runs` lists yours"
        raise UsageError(f"no run of {entry!r} in {runs} or {evidence}{hint}")
    for of_root in found.values():
        matching = [candidate for candidate in of_root if _is_run(candidate.name, run)]
        if len(matching) == 1:
            return matching[0].record
        if matching:
            listed = _listed(entry, matching)
            raise UsageError(f"{text!r} matches {len(matching)} runs; give the seed or folder of one: {listed}")
    existing = [candidate for of_root in found.values() for candidate in of_root]
    raise UsageError(f"no run {text!r}; existing runs: {_listed(entry, existing)}")


def _entry_and_run(text: str, name_of: Callable[[str], str]) -> tuple[str, str | None]:
    """Return the name of an entry, and its seed or `weights`, which may be left out."""
    named = NAMED.fullmatch(text)
    if named is not None:
        entry, run = named["entry"], named["run"]
        if entry.endswith(RECIPES) or ("/" in entry and run is not None):  # without a run, it may be a mistyped folder
            return name_of(entry), run
        if not {"/", ":"} & set(entry):
            return entry, run
    plain = text.removeprefix(HF)
    if HUB_NAME.fullmatch(plain):
        raise UsageError(
            f"no record {text!r}; for a model of the Hub, write {plain}:weights, or {plain}:SEED for a training; for a"
            f" run on this machine, its folder, which has a {FILE}"
        )
    raise UsageError(
        f"no record {text!r}; give the folder of a run, its {FILE}, or ENTRY, ENTRY:SEED or ENTRY:weights, where ENTRY"
        " is an entry or a recipe file"
    )


def _folders(root: Path) -> list[Path]:
    return [folder for folder in root.iterdir() if find_runs(root, folder.name)] if root.is_dir() else []


def _is_run(folder: str, run: str | None) -> bool:
    """Return whether a folder has this seed or is that of `weights`; None matches all. See `Identity.folder`."""
    if run is None:
        return True
    return folder.startswith("weights-" if run == "weights" else f"retrain-seed{int(run)}-")


def _listed(entry: str, runs: Sequence[FoundRun]) -> str:
    """Return the names of runs as a user types them; where two have the same name, their folders."""
    names = [_name(entry, run) for run in runs]
    pairs = zip(names, runs, strict=True)
    shown = [name if names.count(name) == 1 else str(run.record.parent) for name, run in pairs]
    more = f" and {len(shown) - MOST_LISTED} more" if len(shown) > MOST_LISTED else ""
    return ", ".join(shown[:MOST_LISTED]) + more


def _name(entry: str, run: FoundRun) -> str:
    kind, _, rest = run.name.partition("-")
    return f"{entry}:{rest.partition('-')[0].removeprefix('seed') if kind == 'retrain' else kind}"
