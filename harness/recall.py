"""Runs whose inputs are as they were, found again without reading the inputs, so without torch.

Beside the runs, one small file for each question (entry, mode, seed, conditions) keeps the answer and what it was
computed from: the size, time and SHA-256 of every file. Of a file whose size and time are as before the content is
taken to be, too; any other is hashed. Where one differs, or a package has another version, the run is looked up the
slow way, by its identity: so a changed comment costs seconds, and a changed byte of a weights file its own entry's run.
"""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import harness
import zoo
from harness.judging import Ran, Run
from harness.record import Mode, read_record
from zoo import places
from zoo.catalogue import Entry
from zoo.digest import sha256
from zoo.errors import ZooError

KNOWN = ".known"
PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "datasets",
    "evaluate",
    "scikit-learn",
    "scipy",
    "numpy",
)
"""What data and metrics come from, beside this project."""
_MISSING = -1


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Under what a run is asked for; whatever of it could make another run."""

    precision: str = "fp32"
    micro_batch: int | None = None
    device: str | None = None
    lock: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    """Local data folders by name."""

    def question(self, entry: Entry, mode: Mode, seed: int | None) -> dict[str, Any]:
        """All that says which run is meant, as plain data."""
        return {
            "entry": entry.name, "recipe": entry.recipe.digest, "mode": mode, "seed": seed, **asdict(self),
            "code": _code(), "packages": _versions(), "devices": _devices(), "endpoint": os.environ.get("HF_ENDPOINT"),
        }  # fmt: skip


def remember(runs: Path, question: Mapping[str, Any], run: Run, inputs: Iterable[Path], published: Any) -> None:
    """Keep which run answers a question, and what it was computed from."""
    path, record = run
    results = [path.parent / result.predictions["file"] for result in record.results]
    read = dict.fromkeys(one.absolute() for one in (path, *results, places.trusted(), *inputs))
    kept = {"record": str(path.absolute()), "published": published, "inputs": [_stamp(one) for one in read], **question}
    target = _place(runs, question)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(kept, indent=1, sort_keys=True), encoding="utf-8")
    partial.replace(target)


def recall(entry: Entry, mode: Mode, seeds: Iterable[int | None], conditions: Conditions, runs: Path) -> Ran | None:
    """The runs of an entry, one of each seed, if all are there and nothing they were computed from has changed."""
    if entry.here is not None or int(os.environ.get("WORLD_SIZE", "1")) > 1 or not entry.is_readable:
        return None
    found: list[Run] = []
    published: Mapping[str, Mapping[str, str]] = {}
    for seed in seeds:
        kept = _unchanged(_place(runs, conditions.question(entry, mode, seed)))
        if kept is None:
            return None
        path = Path(kept["record"])
        found.append((path, read_record(path)))
        published = kept["published"]
    return Ran(entry=entry, mode=mode, runs=tuple(found), published=published)


def _place(runs: Path, question: Mapping[str, Any]) -> Path:
    asked = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
    return runs / KNOWN / f"{asked[:32]}.json"


def _unchanged(path: Path) -> dict[str, Any] | None:
    """What is kept in a file, if there is one and all inputs are as it says."""
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        same = all(_is_same(*stamp) for stamp in kept["inputs"])
    except (OSError, ValueError, TypeError, KeyError, ZooError):
        return None
    return kept if same else None


def _is_same(name: str, size: int, time: int, digest: str) -> bool:
    """Whether a file or folder is as it was: by size and time, else by content."""
    path = Path(name)
    if _size_and_time(path) == (size, time):
        return True
    return size != _MISSING and path.exists() and _digest(path) == digest


def _stamp(path: Path) -> list[Any]:
    size, time = _size_and_time(path)
    return [str(path), size, time, _digest(path) if size != _MISSING else ""]


def _size_and_time(path: Path) -> tuple[int, int]:
    """Of a folder, the number of files below it and the time of the newest."""
    try:
        if path.is_dir():
            files = [file.stat() for file in _files(path)]
            return len(files), max((file.st_mtime_ns for file in files), default=0)
        found = path.stat()
    except OSError:
        return _MISSING, 0
    return found.st_size, found.st_mtime_ns


def _digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, of its files' names, sizes and times."""
    if not path.is_dir():
        return sha256(path)
    listed = [(str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns) for file in _files(path)]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


@cache
def _code() -> str:
    """SHA-256 over this project's own code: data are made and metrics computed by it."""
    digest = hashlib.sha256()
    for room in (Path(zoo.__file__).parent, Path(harness.__file__).parent):
        for path in sorted(room.rglob("*.py")):
            digest.update(f"{path.relative_to(room)} {sha256(path)}\n".encode())
    return digest.hexdigest()


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found


def _devices() -> list[str | None]:
    """What decides whether there is a GPU, as far as it can be told without asking its driver."""
    return [os.environ.get("CUDA_VISIBLE_DEVICES"), str(Path("/dev/nvidiactl").exists())]
