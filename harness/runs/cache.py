"""The run cache: find runs whose inputs are unchanged, without reading the inputs and without torch.

The cache has a small file for each request (entry, mode, seed, conditions). It names the run and the files that the run
was computed from, each with its size, time and SHA-256. A file whose size and time are unchanged is assumed to have the
same content; any other file is hashed again. If a file differs, or a package has another version, the run is looked up
by its identity instead, which takes longer. So a changed comment in a recipe costs seconds, and a changed byte of a
weights file repeats only the run of that entry.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import time_ns
from typing import Any

from harness.judging.judge_runs import EntryRuns
from harness.models.provenance import RESULT_PACKAGES, package_versions, project_code_digest
from harness.records.record import Mode, RecordedRun, read_record
from zoo import paths
from zoo.errors import ZooError
from zoo.fetch.checksum import sha256
from zoo.fetch.remembered_digests import SETTLED_NS
from zoo.files import files_below, write_atomically
from zoo.recipes.catalogue import Entry

CACHE_FOLDER = ".cache"
"""The folder of the run cache, beside the entries' folders."""
FileStamp = tuple[str, int, int, str]
"""A path, its size in bytes, its time in nanoseconds, and the SHA-256 of its content (of its listing, for a folder)."""


@dataclass(frozen=True, kw_only=True)
class RunConditions:
    """The conditions under which a run is made. Runs under different conditions may differ."""

    precision: str = "fp32"
    micro_batch: int | None = None
    strict: bool = False
    device: str | None = None
    """The kind of the device; None if only torch knows which one it chooses."""
    lock: str | None = None
    cache: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    """Local data folders by name."""
    out: str | None = None
    """The folder that `zoo train` writes to; None for the runs that claims are judged by."""

    def request(self, entry: Entry, mode: Mode, seed: int | None, working: Path | None = None) -> dict[str, Any]:
        """Return everything that identifies the requested run, as plain data.

        It includes the working directory, to which relative paths in a recipe refer. Default: the current one.
        """
        return {
            "entry": entry.name, "path": str(entry.path.resolve()), "recipe": entry.recipe.digest, "mode": mode,
            "seed": seed, **asdict(self), "from": str(working or Path.cwd()), "trusted": str(paths.trusted().resolve()),
            "code": project_code_digest(), "packages": package_versions(RESULT_PACKAGES),
            "devices": _devices() if self.device is None else None,
            "endpoint": os.environ.get("HF_ENDPOINT"),
        }  # fmt: skip


def file_stamps(files: Iterable[Path]) -> list[FileStamp]:
    """Return the current stamps of files and folders.

    Take them before a run, so that a file that changes while the run is made does not match later.
    """
    return [_stamp(path) for path in dict.fromkeys(path.absolute() for path in files)]


def is_unchanged(stamp: FileStamp) -> bool:
    """Return whether a file is as it was stamped, by size and time, else by content; a folder by its listing."""
    name, size, time, digest = stamp
    current = _size_and_time(path := Path(name))
    if current is None or size < 0:
        return current is None and size < 0
    return (current == (size, time) and not path.is_dir()) or _digest(path) == digest


def cache_run(
    runs: Path, request: Mapping[str, Any], inputs: list[FileStamp], run: RecordedRun, published: Any
) -> None:
    """Store the run of a request in the cache, with the files that it was computed from.

    A run that cannot be stored, because the disk is full, is found by its identity instead.

    Args:
        runs: The folder of all runs.
        request: The result of `RunConditions.request`.
        inputs: The stamps of the run's input files.
        run: The run.
        published: The scores in files beside the published weights.
    """
    path, record = run
    outputs = file_stamps([path, *(path.parent / result.predictions["file"] for result in record.results)])
    content = {
        "record": str(path.absolute()), "published": published, "inputs": [*inputs, *outputs], "request": request,
    }  # fmt: skip
    with suppress(OSError):
        write_atomically(_cache_file(runs, request), json.dumps(content, indent=1, sort_keys=True))


def find_cached_runs(
    entry: Entry,
    mode: Mode,
    seeds: Iterable[int | None],
    conditions: RunConditions,
    runs: Path,
    working: Path | None = None,
) -> EntryRuns | None:
    """Return the runs of an entry, one for each seed, if all are cached and none of their inputs has changed.

    Args:
        entry: The entry.
        mode: Whether the published weights are evaluated or the recipe is trained.
        seeds: The seeds of the trainings; None for an evaluation.
        conditions: The conditions under which the runs are made.
        runs: The folder of all runs.
        working: The directory in which the runs are made. Default: the current one.
    """
    if entry.recipe_repo is not None or int(os.environ.get("WORLD_SIZE", "1")) > 1 or not entry.is_readable:
        return None
    cached: list[RecordedRun] = []
    published: Mapping[str, Mapping[str, str]] = {}
    for seed in seeds:
        cached_run = _read_cached_run(_cache_file(runs, conditions.request(entry, mode, seed, working)))
        if cached_run is None:
            return None
        run, published = cached_run
        cached.append(run)
    return EntryRuns(entry=entry, mode=mode, runs=tuple(cached), published=published)


def _cache_file(runs: Path, request: Mapping[str, Any]) -> Path:
    key = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    return runs / CACHE_FOLDER / f"{key[:32]}.json"


def _read_cached_run(path: Path) -> tuple[RecordedRun, Mapping[str, Mapping[str, str]]] | None:
    """Return the run that a file of the cache names, and the published scores; None if it is damaged or outdated."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        record = Path(content["record"])
        if all(is_unchanged(stamp) for stamp in content["inputs"]):
            return (record, read_record(record)), content["published"]
    except (OSError, ValueError, TypeError, KeyError, ZooError):
        pass
    return None


def _stamp(path: Path) -> FileStamp:
    current = _size_and_time(path)
    if current is None:
        return str(path), -1, 0, ""
    size, time = current
    return str(path), size, time if time_ns() - time > SETTLED_NS else 0, _digest(path)


def _size_and_time(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)  # `cp -p` and `mv` keep the first of the times


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file; for a folder, of the names, sizes and times of its files. Links are followed."""
    if not path.is_dir():
        return sha256(path)
    listing = sorted((str(file.relative_to(path)), *(_size_and_time(file) or (-1, 0))) for file in files_below(path))
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _devices() -> list[str | None]:
    """Return the device files and environment variables that decide whether a GPU is used."""
    return [os.environ.get("CUDA_VISIBLE_DEVICES"), str(Path("/dev/nvidiactl").exists())]
