"""What `zoo fetch` prints about a cache folder: what is in it, what it lacks, and which command repairs it."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.api.session import Session
from zoo.cli import render
from zoo.cli.exit_codes import end
from zoo.cli.plan import amount
from zoo.cli.progress import show_progress
from zoo.errors import IntegrityError, SourceError
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry, selection_of
from zoo.text_tables import counted, first_of

if TYPE_CHECKING:
    from zoo.fetch.cache_folder import CacheFolder
    from zoo.recipes.cache_contents import CacheState, EntryState
    from zoo.recipes.needs import Need

LISTED = 5
"""The most entries that a line names."""


def check(
    session: Session, root: Path, entries: Sequence[Entry] | None, *, everything: bool, train: bool, as_json: bool
) -> None:
    """Hash a cache, print what is wrong with it, and end with the exit code.

    Args:
        session: Its sources are read from the cache.
        root: The cache.
        entries: The entries to check; None for all that were fetched.
        everything: Whether these are all shipped entries.
        train: Whether to check what their trainings read.
        as_json: Whether to print JSON.
    """
    from zoo.fetch.cache_folder import CacheFolder
    from zoo.recipes.cache_contents import CachedEntry, check_cache, recorded_entries
    from zoo.recipes.needs import needs_or_error

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
    command = _repair(cache, state, entries, everything=everything, train=train)
    render.emit(_state_data(cache, state), "\n".join(_state_lines(cache, state, command)), as_json=as_json)
    incomplete = [entry for entry in state.entries if not entry.is_complete]
    codes = [IntegrityError.exit_code] if state.damaged else []
    end([*codes, *([SourceError.exit_code] if state.missing or incomplete else [])])


def only_read(root: Path, entries: Sequence[Entry], *, everything: bool, train: bool) -> str:
    """Return the message of a `zoo fetch` without --to while everything is read from a cache."""
    from zoo.fetch.cache_folder import CacheFolder

    selection = selection_of(entries, everything=everything) or "ENTRY"
    cache = CacheFolder(root, f"{selection} --train" if train else selection)
    return (
        f"ZOO_CACHE or --cache names the cache {root}: its files are checked, and nothing is downloaded. To add what it"
        f" lacks: {cache.how_to_add}"
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
    return [f"nothing to download for {first_of(found, LISTED)}: {why}" for why, found in names.items()]


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


def _state_lines(cache: "CacheFolder", state: "CacheState", command: str) -> list[str]:
    rows = [
        [entry.entry.entry, "yes" if entry.entry.train else "no", entry.files, amount(entry.bytes), _word(entry)]
        for entry in state.entries
    ]
    table = [render.table(["entry", "with training", "files", "size", ""], rows, flexible=(0, 4))] if rows else []
    lines = [f"{cache.root}: {counted(state.files, 'file')}, {amount(state.bytes)}"]
    lines += [f"damaged: {name}" for name in state.damaged]
    lines += _missing_lines(state)
    lines += [f"superfluous: {name}" for name in state.superfluous]
    for text, names in _errors(state).items():
        lines.append(f"{_first(names)}: {text}")
    if state.superfluous:
        lines.append("superfluous files can be deleted")
    if state.damaged or state.missing or any(not entry.is_complete for entry in state.entries):
        lines.append(f"`{command}` repairs the cache where there is internet")
    return [*table, *([""] if table else []), *lines]


def _missing_lines(state: "CacheState") -> Iterator[str]:
    """Yield a line for each source with missing files: the files, and the entries that read them."""
    files: dict[str, list[str]] = {}
    readers: dict[str, list[str]] = {}
    for entry in state.entries:
        for text in entry.missing:
            source, _, name = text.partition(" ")
            files.setdefault(source, []).append(name.strip("()"))
            readers.setdefault(source, []).append(entry.entry.entry)
    for text in state.missing:
        source, _, name = text.partition(" ")
        if source not in readers:
            files.setdefault(source, []).append(name)
    for source, names in files.items():
        entries = f"; read by {_first(readers[source])}" if source in readers else ""
        yield f"missing: {source}: {_first(names)}{entries}"


def _errors(state: "CacheState") -> dict[str, list[str]]:
    """Return the entries of each error."""
    entries: dict[str, list[str]] = {}
    for entry in state.entries:
        if entry.entry.error:
            entries.setdefault(entry.entry.error, []).append(entry.entry.entry)
    return entries


def _repair(
    cache: "CacheFolder", state: "CacheState", entries: Sequence[Entry] | None, *, everything: bool, train: bool
) -> str:
    """Return the command that fetches the incomplete entries again.

    Args:
        cache: The cache.
        state: Its state.
        entries: The entries that were checked; None for all that were fetched.
        everything: Whether these are all shipped entries.
        train: Whether what trainings read was checked.
    """
    incomplete = [each for each in state.entries if not each.is_complete]
    known = {entry.name: entry for entry in (catalogue.entries() if entries is None else entries)}
    names = dict.fromkeys(each.entry.entry for each in incomplete)
    chosen = [known[name] for name in names if name in known]
    others = [name for name in names if name not in known]
    words = [selection_of(chosen, everything=everything)] * bool(chosen) + [shlex.join(others)] * bool(others)
    options = ["--train"] if train or any(each.entry.train for each in incomplete) else []
    return replace(cache, selection=" ".join([*(words or ["ENTRY"]), *options])).command


def _word(entry: "EntryState") -> str:
    if not entry.is_complete:
        return "incomplete"
    local = "".join(f", needs --data {name}=DIR" for name in entry.entry.local)
    return f"complete{', nothing to download' if not entry.entry.needs else ''}{local}"


def _first(names: Iterable[str]) -> str:
    return first_of(list(dict.fromkeys(names)), LISTED)
