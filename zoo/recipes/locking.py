"""Compare the lock with the recipes, and update it from the Hub."""

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from zoo.errors import IntegrityError, UsageError, ZooError
from zoo.fetch.lock import FilePin, Lock, Pin, Pins, read_lock
from zoo.fetch.source_types import (
    HUB,
    HUGGING_FACE,
    Embedded,
    HubRepo,
    ParsedSource,
    Remote,
    Url,
    parse_or_none,
    pinned_source,
)
from zoo.fetch.sources import Sources
from zoo.fetch.urls import Urls
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry
from zoo.recipes.needs import Need
from zoo.recipes.prefetch import attempt, prefetch

SHA256 = re.compile("[0-9a-f]{64}")


def lock_problems(wanted: Iterable[Need], builder: Builder, *, complete: bool = True) -> list[str]:
    """Compare the lock with the recipes. Sends no request.

    A revision or digest may be missing, since it may not be publicly known; the source itself must be there.

    Args:
        wanted: Everything that the entries to compare read; see `zoo.recipes.needs.needs_of_all`.
        builder: Its sources have the lock.
        complete: Whether the lock is for no other entries, so that a source that none of them names is a problem.

    Returns:
        One line for each source that the lock lacks, and for each that no recipe names.
    """
    lock = builder.sources.lock
    named = {need.source for need in wanted}
    problems: dict[str, None] = {}
    for source in sorted(named):
        if problem := _source_problem(source, builder.sources):
            problems[problem] = None
    read = {_lock_name(source) for source in named}
    for source in sorted(lock.pins) if complete else ():
        if isinstance(parse_or_none(source), Remote) and source not in read:
            problems[f"{lock.path}: {source} is in the lock and named by no recipe"] = None
    return list(problems)


def add_digest(lock: Lock, text: str) -> Pins:
    """Return the pins of a lock with the SHA-256 of one more file, which a mirror can then serve.

    Args:
        lock: The lock. It is not written.
        text: `https://HOST/FILE=SHA256` or `hub:OWNER/NAME@COMMIT#FILE=SHA256`.

    Raises:
        UsageError: The text has another form.
        IntegrityError: The lock has another digest of this file, or another commit of the repository.
    """
    named, _, digest = text.rpartition("=")
    source, _, file = named.partition("#") if named.startswith(HUB) else (named, "", "")
    value = parse_or_none(source)
    is_complete = isinstance(value, Url) or (isinstance(value, HubRepo) and value.commit is not None and file)
    if not (is_complete and SHA256.fullmatch(digest)):
        forms = "https://HOST/FILE=SHA256 or hub:OWNER/NAME@COMMIT#FILE=SHA256"
        raise UsageError(f"--add-digest {text}: write {forms}, with all digits of the commit and the SHA-256")
    repo = value if isinstance(value, HubRepo) else None
    name = str(repo.without_revision) if repo else source
    revision = repo.revision if repo else None
    file_name = value.short_name if isinstance(value, Url) else file
    new = Pin(revision=revision, files={file_name: FilePin(sha256=digest)})
    known = lock.locked(name)
    if known.revision not in (None, revision):
        raise IntegrityError(f"{lock.path}: {name} is pinned at commit {known.revision}, not at {revision}")
    _check_known_digests(lock, {name: new})
    return {**lock.pins, name: new.over(known)}


def _source_problem(source: str, sources: Sources) -> str | None:
    if problem := sources.problem(source):
        return problem
    lock, value = sources.lock, parse_or_none(source)
    if isinstance(value, Embedded):
        result = attempt(partial(sources.fetch, value))
        return str(result) if isinstance(result, ZooError) else None
    if isinstance(value, Remote) and _lock_name(source) not in {**lock.others, **lock.pins}:
        return f"{lock.path}: {_lock_name(source)} is named by a recipe and not in the lock"
    return None


def _lock_name(source: str) -> str:
    value: ParsedSource | None = parse_or_none(source)
    return source if value is None else str(pinned_source(value))


def update_pins(entries: Iterable[Entry], wanted: Iterable[Need], builder: Builder) -> tuple[Pins, list[ZooError]]:
    """Download everything that entries read, and pin it as it is now. The lock itself is not written.

    Args:
        entries: The entries to update. The pins of others stay.
        wanted: Everything that they read; see `zoo.recipes.needs.needs_of_all`.
        builder: Its sources have the lock and the Hub.

    Returns:
        The new pins of the lock, and the errors of downloads. The pins of a source with an error stay, and all pins
        if a file differs from a digest that is known.

    Raises:
        UsageError: The lock is the project's, and the Hub is not huggingface.co.
        IntegrityError: A file differs from a digest that is known.
    """
    lock, hub = builder.sources.lock, builder.sources.hub
    if builder.sources.cache is not None:
        raise UsageError("--update asks the Hub, and with a cache no request is sent: leave out --cache and ZOO_CACHE")
    if lock.path.resolve() == read_lock().path.resolve() and hub.endpoint != HUGGING_FACE:
        raise UsageError(f"{lock.path} is for {HUGGING_FACE}, not for {hub.address}: --lock FILE writes another")
    with tempfile.TemporaryDirectory() as folder:
        blank = replace(
            lock, pins={**lock.pins, **_without_commits(lock.pins)}, trust_file=Path(folder) / "trusted.json"
        )
        sources = Sources(lock=blank, hub=hub, urls=Urls(folder=Path(folder)), data={})
        errors = _download(wanted, replace(builder, sources=sources))
        if any(isinstance(error, IntegrityError) for error in errors.values()):
            return lock.pins, list(errors.values())
        names = {entry.recipe_repo: entry.requested_repo for entry in entries}
        trusted = {source: pin for source, pin in blank.all_trusted().items() if source not in errors}
        seen = {names.get(source) or source: pin for source, pin in trusted.items()}
    _check_known_digests(lock, seen)
    after = {**lock.pins, **{source: pin.over(lock.locked(source)) for source, pin in seen.items()}}
    return after, list(errors.values())


def _download(wanted: Iterable[Need], builder: Builder) -> dict[str, ZooError]:
    """Download everything, and return the first error of each source by the name that it has in a lock."""
    remote = [need for need in set(wanted) if isinstance(need.parsed, Remote)]
    errors: dict[str, ZooError] = {}
    for need, result in prefetch(sorted(remote, key=lambda need: (need.source, need.want)), builder.sources):
        if isinstance(result, ZooError):
            errors.setdefault(_lock_name(need.source), result)
    return errors


def _check_known_digests(lock: Lock, seen: Mapping[str, Pin]) -> None:
    for source, pin in seen.items():
        known = lock.locked(source)
        for name, file in pin.files.items() if pin.revision == known.revision else ():
            before = known.files.get(name, FilePin())
            if expected := before.mismatch(str(file.sha256), file.size or before.size or 0):
                raise IntegrityError(f"{source}: {name}: expected {expected}, found sha256 {file.sha256}")


def _without_commits(pins: Pins) -> Pins:
    """Return the pins of repositories that are still true at another commit: those without a commit."""
    hub = {source: pin for source, pin in pins.items() if isinstance(parse_or_none(source), HubRepo)}
    return {source: pin if pin.revision is None else Pin() for source, pin in hub.items()}
