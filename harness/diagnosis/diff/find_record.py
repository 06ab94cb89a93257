"""Find the record that a user names on the command line."""

import re
from collections.abc import Iterable
from pathlib import Path

from harness.records.record import FILE
from zoo.errors import UsageError, did_you_mean

NAMED = re.compile(r"(?P<entry>[^:]+)(:(?P<run>\d+|weights))?")
MOST_LISTED = 12


def find_record(text: str, runs: Path, evidence: Path) -> Path:
    """Return the path of the record that a text names.

    Args:
        text: The folder of a run, the path of its record, or ENTRY, ENTRY:SEED or ENTRY:weights.
        runs: The folder of the user's runs, which is searched first.
        evidence: The folder of committed records.

    Raises:
        UsageError: The text names no run or several; the message lists the existing ones.
    """
    path = Path(text).expanduser()
    if path.is_file() or (path / FILE).is_file():
        return path if path.is_file() else path / FILE
    named = NAMED.fullmatch(text)
    if named is None or "/" in text:
        raise UsageError(
            f"no record {text!r}; give the folder of a run, its {FILE}, ENTRY, ENTRY:SEED or ENTRY:weights"
        )
    existing = [path for root in (runs, evidence) for path in _runs(root, named["entry"])]
    if not existing:
        names = sorted({folder.name for root in (runs, evidence) for folder in _folders(root)})
        raise UsageError(f"no run of {named['entry']!r} in {runs} or {evidence}{did_you_mean(named['entry'], names)}")
    for root in (runs, evidence):
        matching = [path for path in _runs(root, named["entry"]) if _is_run(path.parent.name, named["run"])]
        if len(matching) == 1:
            return matching[0]
        if matching:
            raise UsageError(
                f"{text!r} matches {len(matching)} runs; give the seed or folder of one: {_listed(matching)}"
            )
    raise UsageError(f"no run {text!r}; existing runs: {_listed(existing)}")


def _folders(root: Path) -> list[Path]:
    return [folder for folder in root.iterdir() if next(folder.glob(f"*/{FILE}"), None)] if root.is_dir() else []


def _runs(root: Path, entry: str) -> list[Path]:
    return sorted((root / entry).glob(f"[!.]*/{FILE}"))


def _is_run(folder: str, run: str | None) -> bool:
    """Return whether a folder has this seed or is that of `weights`; None matches all. See `Identity.folder`."""
    if run is None:
        return True
    return folder.startswith("weights-" if run == "weights" else f"retrain-seed{int(run)}-")


def _name(path: Path) -> str:
    """Return the name of a run as a user types it; see `Identity.folder`."""
    kind, _, rest = path.parent.name.partition("-")
    seed = rest.partition("-")[0].removeprefix("seed")
    return f"{path.parent.parent.name}:{seed}" if kind == "retrain" else f"{path.parent.parent.name}:{kind}"


def _listed(paths: Iterable[Path]) -> str:
    names = [_name(path) for path in paths]
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more
