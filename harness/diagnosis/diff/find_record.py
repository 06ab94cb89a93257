"""Records by name: where a user means one run of an entry."""

import re
from collections.abc import Iterable
from pathlib import Path

from harness.records.record import FILE
from zoo.errors import UsageError, did_you_mean

NAMED = re.compile(r"(?P<entry>[^:]+)(:(?P<run>\d+|weights))?")
SHOWN = 12


def find_record(text: str, runs: Path, evidence: Path) -> Path:
    """The record that is meant: a run's folder, its record, or ENTRY, ENTRY:SEED or ENTRY:weights.

    A user's own runs are looked through first, then the committed evidence. Raises UsageError, naming what there is,
    where there is none or more than one.
    """
    path = Path(text).expanduser()
    if path.is_file() or (path / FILE).is_file():
        return path if path.is_file() else path / FILE
    named = NAMED.fullmatch(text)
    if named is None or "/" in text:
        raise UsageError(f"no record {text!r}; name a run's folder, its {FILE}, ENTRY, ENTRY:SEED or ENTRY:weights")
    there = [path for root in (runs, evidence) for path in _runs(root, named["entry"])]
    if not there:
        known = sorted({folder.name for root in (runs, evidence) for folder in _folders(root)})
        raise UsageError(f"no run of {named['entry']!r} in {runs} or {evidence}{did_you_mean(named['entry'], known)}")
    for root in (runs, evidence):
        found = [path for path in _runs(root, named["entry"]) if _is_run(path.parent.name, named["run"])]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{text!r} is {len(found)} runs; name one by its seed or folder: {_listed(found)}")
    raise UsageError(f"no run {text!r}; there is {_listed(there)}")


def _folders(root: Path) -> list[Path]:
    return [folder for folder in root.iterdir() if next(folder.glob(f"*/{FILE}"), None)] if root.is_dir() else []


def _runs(root: Path, entry: str) -> list[Path]:
    return sorted((root / entry).glob(f"[!.]*/{FILE}"))


def _is_run(folder: str, run: str | None) -> bool:
    """Whether a folder is that of a seed or of the weights, or any is meant; see `Identity.folder`."""
    if run is None:
        return True
    return folder.startswith("weights-" if run == "weights" else f"retrain-seed{int(run)}-")


def _name(path: Path) -> str:
    """A run as a user names it; see `Identity.folder`."""
    kind, _, rest = path.parent.name.partition("-")
    seed = rest.partition("-")[0].removeprefix("seed")
    return f"{path.parent.parent.name}:{seed}" if kind == "retrain" else f"{path.parent.parent.name}:{kind}"


def _listed(paths: Iterable[Path]) -> str:
    names = [_name(path) for path in paths]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
