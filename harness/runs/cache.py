"""Runs whose inputs are as they were, found again without reading the inputs, so without torch.

Beside the runs, one small file for each question (entry, mode, seed, conditions) keeps the answer and what it was
computed from: the size, time and SHA-256 of every file. Of a file whose size and time are as before the content is
taken to be, too; any other is hashed. Where one differs, or a package has another version, the run is looked up the
slow way, by its identity: so a changed comment costs seconds, and a changed byte of a weights file its own entry's run.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import time_ns
from typing import Any

from harness.judging.judge_runs import EntryRuns, RecordedRun
from harness.models.provenance import RESULT_PACKAGES, package_versions, project_code_digest
from harness.records.record import Mode, read_record
from zoo import paths
from zoo.errors import ZooError
from zoo.fetch.checksum import sha256
from zoo.recipes.catalogue import Entry

KNOWN = ".known"
SETTLED = 2_000_000_000
"""So many nanoseconds after its last change a file's time tells whether it was changed since; sooner it may not."""
FileStamp = tuple[str, int, int, str]
"""A path, its size and time, and the SHA-256 of its content; of a folder, of a listing of it."""


@dataclass(frozen=True, kw_only=True)
class RunConditions:
    """Under what a run is asked for; whatever of it could make another run."""

    precision: str = "fp32"
    micro_batch: int | None = None
    device: str | None = None
    lock: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    """Local data folders by name."""

    def question(self, entry: Entry, mode: Mode, seed: int | None) -> dict[str, Any]:
        """All that says which run is meant, as plain data; relative paths in a recipe are of where one is."""
        return {
            "entry": entry.name, "path": str(entry.path.resolve()), "recipe": entry.recipe.digest, "mode": mode,
            "seed": seed, **asdict(self), "from": str(Path.cwd()), "trusted": str(paths.trusted().resolve()),
            "code": project_code_digest(), "packages": package_versions(RESULT_PACKAGES), "devices": _devices(),
            "endpoint": os.environ.get("HF_ENDPOINT"),
        }  # fmt: skip


def file_stamps(paths: Iterable[Path]) -> list[FileStamp]:
    """What files and folders are now: taken before a run, so that what is changed meanwhile is seen to be."""
    return [_stamp(path) for path in dict.fromkeys(path.absolute() for path in paths)]


def cache_run(
    runs: Path, question: Mapping[str, Any], run: RecordedRun, inputs: list[FileStamp], published: Any
) -> None:
    """Keep which run answers a question, and what it was computed from."""
    path, record = run
    made = file_stamps([path, *(path.parent / result.predictions["file"] for result in record.results)])
    kept = {"record": str(path.absolute()), "published": published, "inputs": [*inputs, *made], "question": question}
    target = _place(runs, question)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(kept, indent=1, sort_keys=True), encoding="utf-8")
    partial.replace(target)


def find_cached_runs(
    entry: Entry, mode: Mode, seeds: Iterable[int | None], conditions: RunConditions, runs: Path
) -> EntryRuns | None:
    """The runs of an entry, one of each seed, if all are there and nothing they were computed from has changed."""
    if entry.here is not None or int(os.environ.get("WORLD_SIZE", "1")) > 1 or not entry.is_readable:
        return None
    found: list[RecordedRun] = []
    published: Mapping[str, Mapping[str, str]] = {}
    for seed in seeds:
        known = _known(_place(runs, conditions.question(entry, mode, seed)))
        if known is None:
            return None
        run, published = known
        found.append(run)
    return EntryRuns(entry=entry, mode=mode, runs=tuple(found), published=published)


def _place(runs: Path, question: Mapping[str, Any]) -> Path:
    asked = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
    return runs / KNOWN / f"{asked[:32]}.json"


def _known(path: Path) -> tuple[RecordedRun, Mapping[str, Mapping[str, str]]] | None:
    """The run that a file speaks of and what was published, if all inputs are as it says; None for a damaged file."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        record = Path(kept["record"])
        if all(_is_same(*stamp) for stamp in kept["inputs"]):
            return (record, read_record(record)), kept["published"]
    except (OSError, ValueError, TypeError, KeyError, ZooError):
        pass
    return None


def _is_same(name: str, size: int, time: int, digest: str) -> bool:
    """Whether a file is as it was, by size and time, else by content; a folder by its listing."""
    now = _size_and_time(path := Path(name))
    if now is None or size < 0:
        return now is None and size < 0
    return (now == (size, time) and not path.is_dir()) or _digest(path) == digest


def _stamp(path: Path) -> FileStamp:
    found = _size_and_time(path)
    if found is None:
        return str(path), -1, 0, ""
    settled = time_ns() - found[1] > SETTLED
    return str(path), found[0], found[1] if settled else 0, _digest(path)


def _size_and_time(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, of its files' names, sizes and times, also behind links."""
    if not path.is_dir():
        return sha256(path)
    listed = sorted(
        (str(file.relative_to(path)), *(_size_and_time(file) or (-1, 0)))
        for folder, _, names in os.walk(path, followlinks=True)
        for file in (Path(folder) / name for name in names)
    )
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _devices() -> list[str | None]:
    """What decides whether there is a GPU, as far as it can be told without asking its driver."""
    return [os.environ.get("CUDA_VISIBLE_DEVICES"), str(Path("/dev/nvidiactl").exists())]
