"""Other versions of a file: other commits of its repository on the Hub, or of the git repository that tracks it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.errors import MissingError, SourceError, UsageError
from zoo.fetch.checksum import sha256
from zoo.fetch.hub import Listed
from zoo.fetch.repository_files import choose_files
from zoo.fetch.source_types import (
    ArchiveMember,
    HubRepo,
    LocalFile,
    RecipeRepo,
    Url,
    UserFolder,
    parse_source,
)
from zoo.fetch.sources import Sources

MOST = 5
"""How many other versions are tried, the newest first."""
LOOKED_AT = 20
"""How many commits of a repository are listed to find them: most change a README only."""


@dataclass(frozen=True)
class Version:
    """A source of other bytes, and the commit that they are of."""

    source: str
    commit: str


def versions(sources: Sources, source: str, want: str, folder: Path) -> Iterator[Version]:
    """The newest versions of what `source` gives for `want` whose bytes are other ones; none twice.

    Files of a git repository are written into `folder`. Raises UsageError for a source that has no versions, and
    SourceError where they cannot be had.
    """
    parsed = parse_source(source)
    if isinstance(parsed, UserFolder):
        raise UsageError(f"{source} is a folder of yours, which has no revisions")
    if isinstance(parsed, Url | ArchiveMember):
        raise UsageError(f"{source} is a file on a server, which has no revisions")
    if isinstance(parsed, HubRepo | RecipeRepo):
        return _on_the_hub(sources, source, want)
    return _in_git(sources.fetch(source).path, folder)


def commit_of(sources: Sources, source: str, want: str) -> str:
    """The commit that a source is read at; `the present one` where it is of no repository of the Hub."""
    revision = sources.fetch(source, want).revision
    return revision[:12] if revision else "the present one"


def _on_the_hub(sources: Sources, source: str, want: str) -> Iterator[Version]:
    hub, repo = sources.hub, HubRepo.parse((sources.here if parse_source(source) == RecipeRepo() else None) or source)
    if hub.offline:
        raise SourceError("HF_HUB_OFFLINE is set, so no other commit is asked for; without it they are tried")
    at = sources.fetch(source, want).revision
    seen = [_files(sources, repo, str(at), want)]
    for commit in hub.history(repo)[:LOOKED_AT]:
        files = None if commit == at else _files(sources, repo, commit, want)
        if files and files not in seen:
            seen.append(files)
            yield Version(str(replace(repo, revision=commit)), commit[:12])
        if len(seen) > MOST:
            return


def _files(sources: Sources, repo: HubRepo, commit: str, want: str) -> dict[str, Listed]:
    """What is read for `want` at a commit, as the Hub lists it; nothing where it is not there."""
    listing = sources.hub.listing(repo, commit)
    try:
        return {name: listing[name] for name in choose_files(want, list(listing), {}, repo.name) if name != "README.md"}
    except MissingError:
        return {}


def _in_git(path: Path, folder: Path) -> Iterator[Version]:
    path = path.expanduser().resolve()
    log = _git(path.parent, "log", "--format=%H", "--", path.name) if path.is_file() else None
    if log is None:
        raise UsageError(f"{path} is tracked in no git repository, so it has no other versions")
    seen = {sha256(path)}
    for commit in log.decode().split():
        data = _git(path.parent, "show", f"{commit}:./{path.name}")
        copy = folder / f"{commit[:12]}-{path.name}"
        if data is not None:
            copy.write_bytes(data)
            if (digest := sha256(copy)) not in seen:
                seen.add(digest)
                yield Version(str(LocalFile(str(copy))), commit[:12])
        if len(seen) > MOST:
            return


def _git(folder: Path, *command: str) -> bytes | None:
    """What git says; None where it cannot."""
    try:
        done = subprocess.run(["git", "-C", folder, *command], capture_output=True, check=False)  # noqa: S603, S607
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
