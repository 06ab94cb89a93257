"""Show, check and update the pinned revisions and checksums: the command lock."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.exit_codes import end
from zoo.cli.options import OUTPUT, All, Json, Patterns, Suites, Where, option
from zoo.cli.progress import report, report_error, report_errors, session_of
from zoo.errors import UsageError, ZooError
from zoo.recipes.options import SourceOptions

if TYPE_CHECKING:
    from zoo.fetch.lock import Lock, Pins
    from zoo.recipes.build import Builder
    from zoo.recipes.catalogue import Entry
    from zoo.recipes.needs import Need


@command
def lock(
    sources: SourceOptions,
    patterns: Patterns = None,
    suite: Suites = None,
    where: Where = None,
    everything: All = False,
    check: Annotated[
        bool,
        option(
            "--check",
            "Compare the lock with these recipes, or else with all shipped ones, without network; exit with 1 if they"
            " differ. Default: show the lock.",
            OUTPUT,
        ),
    ] = False,
    update: Annotated[
        bool,
        option(
            "--update",
            "Pin the files that the Hub has now for these entries, and print what changes. Default: show the lock.",
            OUTPUT,
        ),
    ] = False,
    add_digest: Annotated[
        list[str] | None,
        option(
            "--add-digest",
            "Pin a file by its SHA-256 without downloading it, so that --mirror can serve it: https://HOST/FILE=SHA256"
            " or hub:OWNER/NAME@COMMIT#FILE=SHA256. Can be repeated. Default: none.",
            OUTPUT,
            "SOURCE=SHA256",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show, check or update the pinned revisions and checksums.

    Example: zoo lock bert-base-uncased-mrpc
    """
    if check + update + bool(add_digest) > 1:
        raise UsageError("--check, --update and --add-digest cannot be combined")
    session = session_of(sources)
    if add_digest:
        _add_digests(add_digest, session.fetcher().lock, as_json)
        return
    from zoo.recipes.needs import needs_of_all

    whole = everything or not (patterns or suite or update)
    entries = session.entries.select(patterns or [], suite or [], whole, refresh=update, where=where)
    builder = session.builder(entries, train=True, report_new_lock=not update)
    wanted, errors = needs_of_all(entries, builder, train=True)
    if check:
        _check_lock(wanted, errors, builder, whole, as_json)
    elif update:
        errors += _update_lock(entries, wanted, builder, as_json)
        report_errors(errors, entries, train=True)
    else:
        _show_lock(wanted, builder, as_json)
        report_errors(errors, entries, train=True)
    end(error.exit_code for error in errors)


def _check_lock(wanted: "list[Need]", errors: list[ZooError], builder: "Builder", whole: bool, as_json: bool) -> None:
    from zoo.recipes.locking import lock_problems

    problems = lock_problems(wanted, builder, complete=whole and not errors)
    found = list(dict.fromkeys([*map(str, errors), *problems]))
    render.emit({"problems": found}, "" if found else f"{builder.sources.lock.path}: ok", as_json=as_json)
    if found and not as_json:
        report_error("\n".join(found))
    end([*(error.exit_code for error in errors), *([1] if problems else [])])


def _add_digests(texts: list[str], lock: "Lock", as_json: bool) -> None:
    from zoo.recipes.locking import add_digest

    pins = lock.pins
    for text in texts:
        pins = add_digest(replace(lock, pins=pins), text)
    _write_changes(lock, pins, as_json)


def _write_changes(lock: "Lock", pins: "Pins", as_json: bool) -> None:
    from zoo.fetch.lock import difference, write_lock

    changes = difference(lock.pins, pins)
    write_lock(lock.path, pins)
    render.emit({"changes": changes}, "\n".join(changes), as_json=as_json)
    report(f"{len(changes)} change{'s' * (len(changes) != 1)} in {lock.path}")


def _update_lock(entries: "list[Entry]", wanted: "list[Need]", builder: "Builder", as_json: bool) -> list[ZooError]:
    """Pin what can be downloaded, and return the errors of the rest."""
    from zoo.recipes.locking import update_pins

    after, errors = update_pins(entries, wanted, builder)
    _write_changes(builder.sources.lock, after, as_json)
    return errors


def _show_lock(wanted: "list[Need]", builder: "Builder", as_json: bool) -> None:
    sources = builder.sources
    names = sorted({need.source for need in wanted})
    pins = {name: sources.known_pin(name) for name in names}
    data: list[dict[str, Any]] = [
        {"source": name, "revision": pin.revision, "files": len(pin.files), "pinned": sources.pinned_by(name)}
        for name, pin in pins.items()
    ]
    rows = [[r["source"], (r["revision"] or "-")[:12], r["pinned"]] for r in data]
    text = render.table(["source", "revision", "pinned by"], rows, flexible=(0,))
    render.emit({"lock": str(sources.lock.path), "sources": data}, text, as_json=as_json)
