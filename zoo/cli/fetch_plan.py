"""What `zoo fetch --to DIR --dry-run` prints: the files that would be added to a cache, and the free disk."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.api.session import Session
from zoo.cli import render
from zoo.cli.cache import without_downloads
from zoo.cli.plan import amount
from zoo.errors import ZooError
from zoo.recipes.catalogue import Entry
from zoo.text_tables import counted

if TYPE_CHECKING:
    from zoo.fetch.cache_folder import CacheFolder
    from zoo.fetch.lock import FilePin
    from zoo.recipes.cache_plan import EntryPlan
    from zoo.recipes.needs import Need


@dataclass(frozen=True, kw_only=True)
class FetchPlan:
    """The files that fetching entries would add to a cache.

    Attributes:
        data: The JSON.
        text: The table, with the totals.
        errors: The errors of files whose size is unknown.
        unknown: What these files are needed for.
    """

    data: Mapping[str, Any]
    text: str
    errors: Sequence[ZooError]
    unknown: "Sequence[Need]"


def plan_fetch(root: Path, session: Session, found: "Sequence[tuple[Entry, Sequence[Need]]]") -> FetchPlan:
    """Return the number and the size of the files of each entry, and the free disk. Nothing is written.

    Args:
        root: The cache, which need not exist.
        session: Its sources are asked for sizes that are not pinned.
        found: The entries with what they read.
    """
    from zoo.fetch.cache_folder import CacheFolder
    from zoo.recipes.cache_plan import plan_entries

    cache = CacheFolder(root)
    sources = session.builder([entry for entry, _ in found]).sources
    if cache.format_file.exists():
        sources = replace(sources, lock=replace(sources.lock, cached=cache.pins()))
    plans = plan_entries([(entry.name, needs) for entry, needs in found], sources)
    errors = list({str(error): error for each in plans for error in each.errors}.values())
    free = shutil.disk_usage(next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())).free
    rows = [{"entry": each.entry, **_sums(cache, each.files, each.errors)} for each in plans]
    total = _sums(cache, {key: file for each in plans for key, file in each.files.items()}, errors)
    data = {
        "cache": str(root), "entries": [_with_errors(row, each) for row, each in zip(rows, plans, strict=True)],
        "total": total, "free_bytes": free,
    }  # fmt: skip
    table = render.table(
        ["entry", "files", "size", "to add"], [[row["entry"], row["files"], *_amounts(row)] for row in rows],
        flexible=(0,),
    )  # fmt: skip
    size, to_add = _amounts(total)
    notes = [f"together, each file once: {counted(total['files'], 'file')}, {size}; to add: {to_add}"]
    notes[0] += f"; free disk: {amount(free)}"
    if total["missing_bytes"] > free:
        notes.append(f"{root} has too little free disk")
    return FetchPlan(
        data=data, text="\n".join([table, "", *without_downloads(found), *notes]), errors=errors,
        unknown=[need for each in plans for need in each.unknown],
    )  # fmt: skip


def _with_errors(row: Mapping[str, Any], plan: "EntryPlan") -> dict[str, Any]:
    return {**row, "errors": [str(error) for error in plan.errors]}


def _sums(cache: "CacheFolder", files: "Mapping[Any, FilePin]", errors: Collection[ZooError]) -> dict[str, int]:
    """Return the number of files, their bytes, the bytes that the cache lacks, and how many sizes are unknown."""
    distinct = {file.sha256 or key: file for key, file in files.items()}.values()
    lacking = [file for file in distinct if not (file.sha256 and cache.file(file.sha256).exists())]
    return {
        "files": len(files), "bytes": sum(file.size or 0 for file in files.values()),
        "missing_bytes": sum(file.size or 0 for file in lacking),
        "unknown_sizes": len(errors) + sum(file.size is None for file in lacking),
    }  # fmt: skip


def _amounts(sums: Mapping[str, Any]) -> tuple[str, str]:
    """Return the size and the size to add as text."""
    return _amount(sums["bytes"], sums["unknown_sizes"]), _amount(sums["missing_bytes"], sums["unknown_sizes"])


def _amount(known: int, unknown: int) -> str:
    if not unknown:
        return amount(known)
    return f"{amount(known)} and {counted(unknown, 'unknown size')}" if known else "unknown"
