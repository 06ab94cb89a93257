"""Records with their predictions as JSON: packed into a statement, and unpacked into a folder to be checked."""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.records.record import FILE, Record, RecordedRun, read_record
from zoo.errors import UsageError
from zoo.recipes.schema import NAME

MAX_BYTES = 100_000_000
"""The most bytes of the predictions in an attestation, compressed as in their files."""
_FOLDER = re.compile(r"(weights|retrain-seed[0-9]{1,20})-[0-9a-f]{12}")


class DamagedError(ValueError):
    """The content of a file is not that of an attestation."""


def pack_run(path: Path, record: Record) -> dict[str, Any]:
    """Return a run as JSON: its folder's name, its record as text, and its files of predictions in base64.

    Raises:
        UsageError: The predictions are too large.
    """
    names = [result.predictions["file"] for result in record.results]
    files = {name: (path.parent / name).read_bytes() for name in names}
    if (size := sum(map(len, files.values()))) > MAX_BYTES:
        raise UsageError(f"{path}: {size:,} bytes of predictions; an attestation can hold {MAX_BYTES:,}")
    return {
        "folder": record.identity.folder,
        "record": path.read_text(encoding="utf-8"),
        "files": {name: base64.b64encode(content).decode("ascii") for name, content in files.items()},
    }


def unpack_runs(packed: Any, folder: Path) -> tuple[RecordedRun, ...]:
    """Write packed runs into a folder, as a folder of runs of one entry, and return their records.

    Nothing is written outside of the folder, whatever the runs say. The records are parsed, and not yet checked
    against their files.

    Raises:
        DamagedError: The data is not that of packed runs.
        ZooError: A record is damaged.
    """
    if not isinstance(packed, list):
        raise DamagedError("the runs are not a list")
    names = [_folder_name(run) for run in packed]
    if len(set(names)) < len(names):
        raise DamagedError("a run occurs twice")
    return tuple(_unpack(run, folder / name) for run, name in zip(packed, names, strict=True))


def is_safe_entry(name: Any) -> bool:
    """Return whether a text is the name of an entry, and so a safe name of a folder."""
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def _folder_name(run: Any) -> str:
    if not isinstance(run, dict) or set(run) != {"folder", "record", "files"}:
        raise DamagedError("a run has not the keys 'folder', 'record' and 'files'")
    if not isinstance(run["folder"], str) or not _FOLDER.fullmatch(run["folder"]):
        raise DamagedError(f"{str(run['folder'])[:100]!r} is not the name of a run")
    return run["folder"]


def _unpack(run: Mapping[str, Any], folder: Path) -> RecordedRun:
    folder.mkdir(parents=True)
    path = folder / FILE
    if not isinstance(run["record"], str) or not isinstance(run["files"], dict):
        raise DamagedError("a run has no record as text, or no files")
    path.write_bytes(run["record"].encode("utf-8", "surrogatepass"))
    record = read_record(path)
    if record.identity.folder != folder.name:
        raise DamagedError(f"the run {folder.name} has the record of {record.identity.folder}")
    _write_files(run["files"], folder, [result.predictions["file"] for result in record.results])
    return path, record


def _write_files(files: Mapping[str, Any], folder: Path, expected: Sequence[str]) -> None:
    if set(files) != set(expected) or {".", "..", FILE} & set(files):
        raise DamagedError(f"the run {folder.name} has not exactly the files that its record names")
    for name, text in files.items():
        try:
            content = base64.b64decode(text, validate=True)
        except (ValueError, TypeError):
            raise DamagedError(f"{folder.name}/{name} is not in base64") from None
        (folder / name).write_bytes(content)
