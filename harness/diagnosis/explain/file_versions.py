"""Find other versions of a file: other commits on the Hub, or of the git repository that tracks it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.errors import MissingError, SourceError, UsageError
from zoo.fetch.checksum import sha256
from zoo.fetch.hub import Listed
from zoo.fetch.repository_files import choose_files
from zoo.fetch.source_types import ArchiveMember, HubRepo, LocalFile, Url, UserFolder
from zoo.fetch.sources import Sources

MOST_VERSIONS = 5
"""The number of other versions to try, the newest first."""
MOST_COMMITS = 20
"""The number of commits of a Hub repository to list. Most commits change nothing but the README."""


@dataclass(frozen=True)
class Version:
    """A source with other content, and its commit."""

    source: str
    commit: str


def versions(sources: Sources, source: str, want: str, folder: Path) -> Iterator[Version]:
    """Yield the newest versions of a source whose content differs from the current one and from each other.

    Args:
        sources: Fetches files.
        source: The source in the recipe.
        want: The part of the source that is read, as in `Sources.fetch`.
        folder: A folder for the files that are read from a git repository.

    Raises:
        UsageError: The source has no versions, because it is a local folder, a URL or not tracked by git.
        SourceError: The versions cannot be listed.
    """
    parsed = sources.resolve(source)
    if isinstance(parsed, UserFolder):
        raise UsageError(f"{source} is a local folder, which has no revisions")
    if isinstance(parsed, Url | ArchiveMember):
        raise UsageError(f"{source} is a URL, which has no revisions")
    if isinstance(parsed, LocalFile) and sources.recipe_repo is not None:
        raise UsageError(f"{source} is a file beside a published recipe; other commits of it are not tried")
    if isinstance(parsed, HubRepo):
        return _on_the_hub(sources, parsed, source, want)
    return _in_git(sources.fetch(source, want).path, folder)


def commit_of(sources: Sources, source: str, want: str) -> str:
    """Return the Hub commit that a source is read at; `the current one` for a source that is not on the Hub."""
    revision = sources.fetch(source, want).revision
    return revision[:12] if revision else "the current one"


def _on_the_hub(sources: Sources, repo: HubRepo, source: str, want: str) -> Iterator[Version]:
    hub = sources.hub
    if hub.offline:
        raise SourceError("other commits cannot be tried while HF_HUB_OFFLINE is set")
    current = sources.fetch(source, want).revision
    seen = [_files(sources, repo, str(current), want)]
    for commit in hub.history(repo)[:MOST_COMMITS]:
        files = None if commit == current else _files(sources, repo, commit, want)
        if files and files not in seen:
            seen.append(files)
            yield Version(str(replace(repo, revision=commit)), commit[:12])
        if len(seen) > MOST_VERSIONS:
            return


def _files(sources: Sources, repo: HubRepo, commit: str, want: str) -> dict[str, Listed]:
    """Return the files that would be read at a commit, as the Hub lists them; none if they are missing there."""
    listing = sources.hub.listing(repo, commit)
    try:
        return {name: listing[name] for name in choose_files(want, list(listing), {}, repo.name) if name != "README.md"}
    except MissingError:
        return {}


def _in_git(path: Path, folder: Path) -> Iterator[Version]:
    path = path.expanduser().resolve()
    if path.is_dir():
        raise UsageError(f"{path} is a folder, of which no other versions are tried")
    log = _git(path.parent, "log", "--format=%H", "--", path.name) if path.is_file() else None
    if log is None:
        raise UsageError(f"{path} is not tracked by git, so it has no other versions")
    seen = {sha256(path)}
    for commit in log.decode().split():
        content = _git(path.parent, "show", f"{commit}:./{path.name}")
        copy = folder / f"{commit[:12]}-{path.name}"
        if content is not None:
            copy.write_bytes(content)
            if (digest := sha256(copy)) not in seen:
                seen.add(digest)
                yield Version(str(LocalFile(str(copy))), commit[:12])
        if len(seen) > MOST_VERSIONS:
            return


def _git(folder: Path, *command: str) -> bytes | None:
    """Return the output of a git command; None if it fails."""
    try:
        completed = subprocess.run(["git", "-C", folder, *command], capture_output=True, check=False)  # noqa: S603, S607
    except OSError:
        return None
    return completed.stdout if completed.returncode == 0 else None
