"""What `zoo fetch` prints about a cache folder: what is in it, and what would be added."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.api.session import Session
from zoo.cli import render
from zoo.cli.exit_codes import end
from zoo.cli.progress import show_progress
from zoo.errors import IntegrityError, SourceError, ZooError
from zoo.recipes.catalogue import Entry, selection_of
from zoo.text_tables import counted

if TYPE_CHECKING:
    from zoo.fetch.cache_folder import CacheFolder
    from zoo.fetch.lock import FilePin
    from zoo.recipes.cache_contents import CacheState, EntryState
    from zoo.recipes.cache_plan import EntryPlan
    from zoo.recipes.prefetch import Need

GIGABYTE, MEGABYTE = 10**9, 10**6
LISTED = 5
"""The most entries that a line names."""


def check(session: Session, root: Path, entries: Sequence[Entry] | None, *, train: bool, as_json: bool) -> None:
    """Hash a cache, print what is wrong with it, and end with the exit code.

    Args:
        session: Its sources are read from the cache.
        root: The cache.
        entries: The entries to check; None for all that were fetched.
        train: Whether to check what their trainings read.
        as_json: Whether to print JSON.
    """
    from zoo.fetch.cache_folder import CacheFolder
    from zoo.recipes.cache_contents import CachedEntry, check_cache, recorded_entries
    from zoo.recipes.prefetch import needs_or_error

    cache = CacheFolder(root)
    cache.check_format()
    if entries is None:
        wanted = recorded_entries(cache)
    else:
        builder = session.builder(entries)
        found = [(entry, *needs_or_error(entry, builder, train=train)) for entry in entries]
        wanted = [CachedEntry.of(entry.name, needs, train=train, error=error) for entry, needs, error in found]
    with show_progress("check", unit="bytes") as step:
        state = check_cache(cache, wanted, step)
    render.emit(_state_data(cache, state), "\n".join(_state_lines(cache, state)), as_json=as_json)
    incomplete = [entry for entry in state.entries if not entry.is_complete]
    codes = [IntegrityError.exit_code] if state.damaged else []
    end([*codes, *([SourceError.exit_code] if state.missing or incomplete else [])])


def only_read(root: Path, entries: Sequence[Entry], *, train: bool) -> str:
    """Return the message of a `zoo fetch` without --to while everything is read from a cache."""
    from zoo.fetch.cache_folder import CacheFolder

    command = CacheFolder(root, f"{selection_of(entries) or 'ENTRY'}{' --train' if train else ''}").command
    return (
        f"ZOO_CACHE or --cache names the cache {root}: its files are checked, and nothing is downloaded. Where there is"
        f" internet, `{command}` adds what it lacks"
    )


def without_downloads(entries: "Sequence[tuple[Entry, Sequence[Need]]]") -> list[str]:
    """Return a line for the entries that download nothing because what they read is shipped, and one for local files.

    Args:
        entries: The entries with what they read.
    """
    from zoo.fetch.source_types import LocalFile, Remote, UserFolder

    names: dict[str, list[str]] = {}
    for entry, needs in entries:
        read = [need.parsed for need in needs]
        if not any(isinstance(source, Remote) for source in read):
            is_local = any(isinstance(source, LocalFile | UserFolder) for source in read)
            why = "all that is read are files of this machine" if is_local else "all that is read is shipped with zoo"
            names.setdefault(why, []).append(entry.name)
    return [f"nothing to download for {_listed(found)}: {why}" for why, found in names.items()]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{', '.join(names[:LISTED])}{more}"


def plan(
    root: Path, session: Session, entries: Sequence[Entry], needs: "Sequence[Sequence[Need]]", *, as_json: bool
) -> list[ZooError]:
    """Print the number and the size of the files of each entry, and the free disk. Nothing is written.

    Returns:
        The errors of files with an unknown size.
    """
    from zoo.fetch.cache_folder import CacheFolder
    from zoo.recipes.cache_plan import plan_entries

    cache = CacheFolder(root)
    sources = session.builder(entries).sources
    if cache.format_file.exists():
        sources = replace(sources, lock=replace(sources.lock, cached=cache.pins()))
    plans = plan_entries([(entry.name, of_entry) for entry, of_entry in zip(entries, needs, strict=True)], sources)
    everything = {key: file for each in plans for key, file in each.files.items()}
    free = shutil.disk_usage(next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())).free
    rows = [_plan_row(cache, each) for each in plans]
    total = {"files": len(everything), "bytes": _size(everything), "missing_bytes": _missing(cache, everything)}
    data = {"cache": str(root), "entries": rows, "total": total, "free_bytes": free}
    text = render.table(
        ["entry", "files", "size", "to add"],
        [[row["entry"], row["files"], _amount(row["bytes"]), _amount(row["missing_bytes"])] for row in rows],
        flexible=(0,),
    )
    sums = f"{counted(total['files'], 'file')}, {_amount(total['bytes'])}; to add: {_amount(total['missing_bytes'])}"
    notes = ["", *without_downloads(list(zip(entries, needs, strict=True)))]
    notes += [f"together, each file once: {sums}; free disk: {_amount(free)}"]
    if total["missing_bytes"] > free:
        notes.append(f"{root} has too little free disk")
    render.emit(data, "\n".join([text, *notes]), as_json=as_json)
    return list({str(error): error for each in plans for error in each.errors}.values())


def _plan_row(cache: "CacheFolder", plan: "EntryPlan") -> dict[str, Any]:
    return {
        "entry": plan.entry, "files": len(plan.files), "bytes": _size(plan.files),
        "missing_bytes": _missing(cache, plan.files), "errors": [str(error) for error in plan.errors],
    }  # fmt: skip


def _size(files: "Mapping[Any, FilePin]") -> int:
    return sum(file.size or 0 for file in files.values())


def _missing(cache: "CacheFolder", files: "Mapping[Any, FilePin]") -> int:
    """Return the bytes of files that the cache does not have."""
    known = {file.sha256 or key: file for key, file in files.items()}
    return sum(file.size or 0 for file in known.values() if not (file.sha256 and cache.file(file.sha256).exists()))


def _state_data(cache: "CacheFolder", state: "CacheState") -> dict[str, Any]:
    return {
        "cache": str(cache.root), "files": state.files, "bytes": state.bytes, "damaged": state.damaged,
        "missing": state.missing, "superfluous": state.superfluous,
        "entries": [_entry_data(entry) for entry in state.entries],
    }  # fmt: skip


def _entry_data(state: "EntryState") -> dict[str, Any]:
    return {
        "entry": state.entry.entry, "train": state.entry.train, "files": state.files, "bytes": state.bytes,
        "complete": state.is_complete, "missing": state.missing, "error": state.entry.error,
        "local": state.entry.local,
    }  # fmt: skip


def _state_lines(cache: "CacheFolder", state: "CacheState") -> list[str]:
    rows = [
        [entry.entry.entry, "yes" if entry.entry.train else "no", entry.files, _amount(entry.bytes), _word(entry)]
        for entry in state.entries
    ]
    table = [render.table(["entry", "with training", "files", "size", ""], rows, flexible=(0, 4))] if rows else []
    lines = [f"{cache.root}: {counted(state.files, 'file')}, {_amount(state.bytes)}"]
    for word, names in (("damaged", state.damaged), ("missing", state.missing), ("superfluous", state.superfluous)):
        lines += [f"{word}: {name}" for name in names]
    for entry in state.entries:
        lines += [f"{entry.entry.entry}: missing: {name}" for name in entry.missing]
        lines += [f"{entry.entry.entry}: {entry.entry.error}"] if entry.entry.error else []
    if state.superfluous:
        lines.append("superfluous files can be deleted")
    incomplete = [entry.entry.entry for entry in state.entries if not entry.is_complete]
    if state.damaged or state.missing or incomplete:
        lines.append(f"`{_repair(cache, state)}` repairs the cache where there is internet")
    return [*table, *([""] if table else []), *lines]


def _repair(cache: "CacheFolder", state: "CacheState") -> str:
    """Return the command that fetches the incomplete entries again."""
    entries = [each for each in state.entries if not each.is_complete]
    names = list(dict.fromkeys(each.entry.entry for each in entries)) or ["ENTRY"]
    train = ["--train"] if any(each.entry.train for each in entries) else []
    return replace(cache, selection=f"{shlex.join(names)} {' '.join(train)}".strip()).command


def _word(entry: "EntryState") -> str:
    if not entry.is_complete:
        return "incomplete"
    local = "".join(f", needs --data {name}=DIR" for name in entry.entry.local)
    return f"complete{', nothing to download' if not entry.entry.needs else ''}{local}"


def _amount(size: int) -> str:
    return f"{size / GIGABYTE:,.1f} GB" if size >= GIGABYTE else f"{size / MEGABYTE:,.1f} MB"
