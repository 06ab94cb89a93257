"""Download and verify files ahead of time: the command fetch."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo.cli import cache, render
from zoo.cli.command_function import command
from zoo.cli.exit_codes import code_of_error, end, is_named
from zoo.cli.fetch_plan import plan_fetch
from zoo.cli.options import OUTPUT, WHAT, All, JsonOrLines, Patterns, Suites, Where, option
from zoo.cli.progress import report, report_errors, session_of, show_progress
from zoo.errors import UnreachableError, UsageError, ZooError
from zoo.recipes.options import SourceOptions, SweepOptions
from zoo.text_tables import counted

if TYPE_CHECKING:
    from zoo.fetch.fetched import Fetched
    from zoo.recipes.build import Builder
    from zoo.recipes.catalogue import Entry
    from zoo.recipes.needs import Need
    from zoo.recipes.prefetch import DownloadSize


@command
def fetch(
    sweep: SweepOptions,
    sources: SourceOptions,
    patterns: Patterns = None,
    suite: Suites = None,
    where: Where = None,
    everything: All = False,
    train: Annotated[
        bool,
        option("--train", "Also download what training needs, such as teachers. Default: what evaluation needs.", WHAT),
    ] = False,
    to: Annotated[
        Path | None,
        option(
            "--to",
            "Also put every file into this folder, which machines without internet read as $ZOO_CACHE. Default: none.",
            OUTPUT,
            "DIR",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        option(
            "--dry-run",
            "With --to: print the number and the size of the files of each entry, and stop. Default: fetch them.",
            OUTPUT,
        ),
    ] = False,
    check: Annotated[
        bool,
        option(
            "--check",
            "Hash all files in the folder of --to or $ZOO_CACHE, without network, and list what is damaged, missing or"
            " superfluous, and which entries are complete. Default: fetch.",
            OUTPUT,
        ),
    ] = False,
    as_json: JsonOrLines = False,
) -> None:
    """Download and verify the files of entries, ahead of time.

    With --to DIR, the entries then run on a machine without internet where ZOO_CACHE names the folder or a copy of it.

    Example: zoo fetch bert-base-uncased-mrpc
    """
    from zoo.recipes.needs import needs_or_error

    if check and dry_run:
        raise UsageError("--check and --dry-run cannot be combined")
    if dry_run and to is None:
        raise UsageError("--dry-run needs --to DIR, the folder that files would be added to")
    if check:
        _check_folder(sweep, sources, to, patterns, suite, where, everything, train, as_json)
        return
    session = session_of(sources.without_cache() if to else sources)
    session = replace(session, fill=None if dry_run else to)
    entries = session.entries.select_and_sweep(patterns or [], suite or [], everything, sweep, where=where)
    builder = session.builder(entries, train=train)
    found = [needs_or_error(entry, builder, train=train) for entry in entries]
    by_entry, errors = [needs for needs, _ in found], [error for _, error in found if error is not None]
    named = any(is_named(entry, patterns or []) for entry in entries)
    if dry_run and to is not None:
        planned = plan_fetch(to, session, list(zip(entries, by_entry, strict=True)))
        errors += planned.errors
        lacking = _lacking(entries, found, planned.unknown)
        report_errors(errors, lacking, train=train, everything=everything, to=to)
        render.emit(planned.data, planned.text, as_json=as_json)
        end(code_of_error(error, named) for error in errors)
        return
    if session.sources.cache is not None:
        report(cache.only_read(session.sources.cache, entries, everything=everything, train=train))
    fetched = _fetch([need for needs in by_entry for need in needs], builder)
    readable = [(entry, needs) for entry, (needs, error) in zip(entries, found, strict=True) if error is None]
    _record_entries(readable, builder, train)
    failed = {need for need, result in fetched if isinstance(result, ZooError)}
    errors += [result for _, result in fetched if isinstance(result, ZooError)]
    _show_fetched(fetched, builder, cache.without_downloads(readable), errors, as_json)
    report_errors(errors, _lacking(entries, found, failed), train=train, everything=everything, to=to)
    end(code_of_error(error, named) for error in errors)


def _lacking(
    entries: "list[Entry]", found: "list[tuple[list[Need], ZooError | None]]", failed: "Collection[Need]"
) -> "list[Entry]":
    """Return the entries with a failed download, and those whose files are unknown because of the network."""
    return [
        entry
        for entry, (needs, error) in zip(entries, found, strict=True)
        if not set(needs).isdisjoint(failed) or isinstance(error, UnreachableError)
    ]


def _record_entries(entries: "list[tuple[Entry, list[Need]]]", builder: "Builder", train: bool) -> None:
    """Write into a cache that is filled what each entry reads."""
    from zoo.recipes.cache_contents import CachedEntry, record_entry

    folder = builder.sources.cache
    if folder is not None and folder.is_filled:
        for entry, needs in entries:
            record_entry(folder, CachedEntry.of(entry.name, needs, train=train))


def _check_folder(
    sweep: SweepOptions, sources: SourceOptions, to: Path | None, patterns: list[str] | None,
    suite: list[str] | None, where: str | None, everything: bool, train: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check the cache of --to or ZOO_CACHE: the selected entries, or all that were fetched."""
    folder = to or sources.cache
    if folder is None:
        raise UsageError("--check needs the folder to check: pass --to DIR, or set ZOO_CACHE")
    session, entries = session_of(replace(sources, cache=folder)), None
    if patterns or suite or everything or sweep.is_used:
        entries = session.entries.select_and_sweep(patterns or [], suite or [], everything, sweep, where=where)
    cache.check(session, folder, entries, everything=everything, train=train, as_json=as_json)


def _fetch(needs: "list[Need]", builder: "Builder") -> "list[tuple[Need, Fetched | ZooError]]":
    """Download several files at once, and show the progress in bytes."""
    from zoo.recipes.prefetch import prefetch

    total = done = 0
    with show_progress("fetch", unit="bytes") as step:

        def start(size: "DownloadSize") -> None:
            nonlocal total
            total = size.known
            names = {need.source for need in needs}
            if needs:
                report(f"{counted(len(set(needs)), 'part')} of {counted(len(names), 'source')}, {size}")

        def advance(length: int) -> None:
            nonlocal done
            done += length
            step(done, max(total, done))

        builder.sources.hub.on_bytes = builder.sources.urls.on_bytes = advance
        return prefetch(needs, builder.sources, start)


def _show_fetched(
    fetched: "list[tuple[Need, Fetched | ZooError]]", builder: "Builder", notes: list[str], errors: list[ZooError],
    as_json: bool,
) -> None:  # fmt: skip
    """Print what was fetched, and in JSON the errors of the rest."""
    data: list[dict[str, Any]] = [
        {
            "source": need.source,
            "needed_for": need.want,
            "revision": result.revision,
            "files": len(result.files),
            "pinned": builder.sources.pinned_by(need.source),
        }
        for need, result in fetched
        if not isinstance(result, ZooError)
    ]
    rows = [[r["source"], r["needed_for"], (r["revision"] or "")[:12], r["files"], r["pinned"]] for r in data]
    text = render.table(["source", "needed for", "revision", "files", "pinned by"], rows, flexible=(0,)) if rows else ""
    text = "\n\n".join(filter(None, [text, *notes]))
    render.emit({"fetched": data, "errors": [str(error) for error in errors]}, text, as_json=as_json)
