"""List what zoo has downloaded or computed on this machine, and remove parts of it. Never imports torch."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from huggingface_hub import CachedRepoInfo, CacheNotFound, HFCacheInfo, constants, scan_cache_dir

from harness.runs.cache import CACHE_FOLDER
from harness.runs.named_sources import named_sources
from harness.runs.stored_runs import size_of, stored_runs
from zoo import paths
from zoo.errors import SourceError, UsageError
from zoo.fetch.source_types import HTTP, ArchiveMember, parse_or_none
from zoo.fetch.urls import download_name, member_name
from zoo.files import is_inside

Kind = Literal["hub", "hub-other", "downloads", "tensors", "run-cache"]
KINDS: dict[Kind, str] = {
    "hub": "repositories of the Hub that zoo has used",
    "hub-other": "other repositories in the cache of the Hub",
    "downloads": "files of servers, cards and suites",
    "tensors": "computed tokens and teacher outputs",
    "run-cache": "the index that finds runs quickly",
}
"""The kinds of cached things, each with what it is."""
FOLDERS: dict[Kind, tuple[str, ...]] = {
    "downloads": ("downloads", "cache/files", "cache/hub", "cache/cards", "suites"),
    "tensors": ("cache/tokens", "cache/teachers", "cache/digests"),
}
"""The folders in ZOO_HOME of each kind."""


@dataclass(frozen=True, kw_only=True)
class CachedItem:
    """A file, folder or repository that a cache holds."""

    kind: Kind
    name: str
    size: int
    used: float
    """When it was last read or written, in seconds since 1970."""
    is_unused: bool
    """Whether it is known that no entry and no run of the user needs it."""
    path: Path
    of_hub: HFCacheInfo | None = field(default=None, repr=False)
    """The cache of the Hub with only this repository, as it was found: removing it need not read the cache again."""


@dataclass(frozen=True, kw_only=True)
class Caches:
    """Everything that was found, and what could not be read."""

    items: tuple[CachedItem, ...]
    problems: tuple[str, ...]


def find_caches(runs: Path) -> Caches:
    """Return everything that zoo keeps in caches, and the repositories of others in the cache of the Hub.

    Args:
        runs: The folder of the user's runs.
    """
    problems: list[str] = []
    needed = _sources_in(_needed_files(runs), problems)
    known = needed | _sources_in(iter([paths.trusted()]), problems)
    items = [*_hub(needed, known, problems), *_run_cache(runs, problems)]
    names = {name for source in needed if source.startswith(HTTP) for name in _cached_names(source)}
    for kind, folders in FOLDERS.items():
        for folder in folders:
            is_unused = _not_in(names) if folder == "downloads" else _never
            items += _files(kind, paths.home() / folder, is_unused, problems)
    return Caches(items=tuple(items), problems=tuple(problems))


def check_nothing_runs(runs: Path) -> None:
    """Raise UsageError if a command makes a run now, which may read any cache."""
    running = [run.folder.name for run in stored_runs(runs) if run.is_in_progress]
    if running:
        raise UsageError(f"{running[0]} is in progress and may use the caches; prune when it has ended")


def remove(item: CachedItem, mirror: Path | None) -> None:
    """Remove an item. Repositories are removed by huggingface_hub.

    Args:
        item: The item.
        mirror: The mirror, whose files are never removed.

    Raises:
        UsageError: The item is in use, or belongs to the mirror.
        SourceError: It cannot be deleted.
    """
    if mirror is not None and is_inside(item.path, mirror):
        raise UsageError(f"{item.path}: not removed: it belongs to the mirror {mirror}")
    try:
        if item.of_hub is not None:
            _check_unlocked(item)
            commits = (revision.commit_hash for repo in item.of_hub.repos for revision in repo.revisions)
            item.of_hub.delete_revisions(*commits).execute()
            if item.path.exists():
                raise SourceError(f"{item.path}: cannot be deleted; look at its permissions")
        else:
            item.path.unlink(missing_ok=True)
    except OSError as error:
        raise SourceError(f"{item.path}: cannot be deleted: {error.strerror or error}") from None


def _check_unlocked(item: CachedItem) -> None:
    """Raise UsageError if a download into a repository of the Hub is in progress."""
    for lock in (Path(constants.HF_HUB_CACHE) / ".locks" / item.path.name).glob("*.lock"):
        try:
            with FileLock(lock, timeout=0):
                pass
        except Timeout:
            raise UsageError(f"{item.name}: not removed: a process holds {lock}, so it is in use") from None


def _needed_files(runs: Path) -> Iterator[Path]:
    """Yield the files that name what entries and runs need: recipes, the lock, records."""
    yield paths.lock()
    if chosen := os.environ.get("ZOO_LOCK"):
        yield Path(chosen)
    yield from paths.configs().glob("*/*.yaml")
    for folder in ("suites", "cache/cards"):
        yield from (paths.home() / folder).rglob("*.yaml")
    for run in stored_runs(runs):
        yield from (file for name in ("record.json", "recipe.yaml") if (file := run.folder / name).is_file())


def _sources_in(files: Iterator[Path], problems: list[str]) -> set[str]:
    found: set[str] = set()
    for file in files:
        try:
            named, problem = named_sources(file.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{file}: cannot be read: {error.strerror or error}")
        else:
            found |= named
            problems += [f"{file}: {problem}"] if problem else []
    return found


def _cached_names(source: str) -> Iterator[str]:
    """Yield the names of the files in the cache that belong to a URL: its file, or a member and its archive."""
    yield download_name(source.partition("#")[0])
    if isinstance(parsed := parse_or_none(source), ArchiveMember):
        yield member_name(parsed)


def _hub(needed: set[str], known: set[str], problems: list[str]) -> Iterator[CachedItem]:
    try:
        found = scan_cache_dir(constants.HF_HUB_CACHE)
    except CacheNotFound:
        return
    except (OSError, ValueError) as error:
        problems.append(f"{constants.HF_HUB_CACHE}: cannot be read: {error}")
        return
    problems += [str(warning) for warning in found.warnings]
    for repo in found.repos:
        # only this repository: a copy of it may have the same commits
        yield _repository(repo, replace(found, repos=frozenset([repo])), needed, known)


def _repository(repo: CachedRepoInfo, of_hub: HFCacheInfo, needed: set[str], known: set[str]) -> CachedItem:
    source = f"hub:{'datasets/' if repo.repo_type == 'dataset' else ''}{repo.repo_id}"
    return CachedItem(
        kind="hub" if source in known else "hub-other", name=source, size=repo.size_on_disk,
        used=max(repo.last_accessed, repo.last_modified), is_unused=source not in needed, path=Path(repo.repo_path),
        of_hub=of_hub,
    )  # fmt: skip


def _run_cache(runs: Path, problems: list[str]) -> Iterator[CachedItem]:
    yield from _files("run-cache", runs / CACHE_FOLDER, _has_no_run, problems)


def _has_no_run(path: Path) -> bool:
    """Return whether a file of the run cache is damaged, or names a run that is gone."""
    try:
        return not Path(json.loads(path.read_text(encoding="utf-8"))["record"]).exists()
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _not_in(names: set[str]) -> Callable[[Path], bool]:
    return lambda path: path.name not in names


def _never(path: Path) -> bool:
    return False


def _files(kind: Kind, folder: Path, is_unused: Callable[[Path], bool], problems: list[str]) -> Iterator[CachedItem]:
    """Yield the files below a folder, without those that are being written or are locks."""
    errors: list[OSError] = []
    for root, _, names in os.walk(folder, onerror=errors.append):
        for name in names:
            path = Path(root) / name
            with suppress(OSError):  # deleted meanwhile
                status = path.lstat()
                if not (name.endswith((".lock", ".partial")) or path.is_symlink()):
                    yield CachedItem(
                        kind=kind, name=path.relative_to(folder.parent).as_posix(), size=size_of(path),
                        used=max(status.st_mtime, status.st_atime), is_unused=is_unused(path), path=path,
                    )  # fmt: skip
    problems += [
        f"{error.filename}: cannot be read: {error.strerror or error}"
        for error in errors
        if not isinstance(error, FileNotFoundError)
    ]
