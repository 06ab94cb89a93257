"""Read sources from a cache folder alone: no request is sent, and nothing is written into the folder.

A program that reads a file by its own name gets a link to it in `$ZOO_HOME/cache`.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from zoo import paths
from zoo.errors import SourceError
from zoo.fetch.cache_answers import commit_key, file_key, listing_key, recorded_answer
from zoo.fetch.cache_folder import CacheFolder
from zoo.fetch.hub import Hub, Listed, ModelSearch
from zoo.fetch.mirror import Mirror
from zoo.fetch.source_types import HubRepo, Url
from zoo.fetch.sources import Sources
from zoo.fetch.urls import Urls
from zoo.files import is_inside, link_or_copy, replacing


def read_from(cache: CacheFolder, sources: Sources) -> Sources:
    """Return sources that read from a cache, or else from the mirror. Raise ZooError for a folder that is no cache."""
    lock = replace(sources.lock, cached=cache.pins())
    files = CachedFiles(cache.root, cache=cache, other=sources.mirror)
    urls = CachedUrls(folder=paths.home() / "cache" / "files", cache=cache)
    return replace(sources, lock=lock, hub=CachedHub(cache), urls=urls, mirror=files, cache=cache)


@dataclass(kw_only=True)
class CachedFiles(Mirror):
    """The files of a cache, found by their names, which are their SHA-256."""

    cache: CacheFolder
    other: Mirror | None = None
    """Where files are searched that the cache lacks."""

    @property
    def needs_pins(self) -> bool:
        """Whether an unknown SHA-256 is the reason for a missing file; a cache has the pins of its files."""
        return False

    @property
    def advice(self) -> str:
        """What to do about a damaged file."""
        return f"; `zoo fetch --check --to {self.root}` lists what is damaged, and `{self.cache.command}` repairs it"

    def find(self, digest: str | None, size: int | None = None) -> Path | None:
        """Return the file with this SHA-256, which the caller compares with its bytes, or None."""
        if digest is None:
            return None
        path = self.cache.file(digest)
        return path if path.is_file() else self.other.find(digest, size) if self.other else None


class CachedHub(Hub):
    """Repositories in a cache. Their files are links, in the layout of the Hub's own cache."""

    def __init__(self, folder: CacheFolder) -> None:
        """Read from a cache folder."""
        super().__init__()
        self.folder, self.cache = folder, paths.home() / "cache" / "hub"

    @property
    def offline(self) -> bool:
        """True: no request is sent."""
        return True

    def request(self, repo: HubRepo, what: str, call: object) -> NoReturn:
        """Raise NotCachedError."""
        raise self.folder.missing(f"{repo}: {what}")

    def commit(self, repo: HubRepo) -> str:
        """Return the recorded commit of a revision. Raise SourceError."""
        return repo.commit or str(recorded_answer(self.folder, repo, commit_key(repo), str(repo)))

    def canonical_name(self, repo: HubRepo) -> str:
        """Return the recorded name of a repository. Raise SourceError."""
        return str(recorded_answer(self.folder, repo, "name", f"the name of {repo}"))

    def listing(self, repo: HubRepo, commit: str) -> dict[str, Listed]:
        """Return the recorded list of the files at a commit. Raise SourceError."""
        files = recorded_answer(self.folder, repo, listing_key(commit), f"{repo} at {commit[:12]}")
        return {name: Listed(**file) for name, file in files.items()}

    def download(self, repo: HubRepo, commit: str, path: str) -> Path:
        """Raise NotCachedError, or the recorded refusal."""
        missing = f"{repo}: {path}"
        recorded_answer(self.folder, repo, file_key(commit, path), missing)
        raise self.folder.missing(missing)

    def search(self, wanted: ModelSearch, limit: int) -> tuple[str, ...]:
        """Raise NotCachedError."""
        raise self.folder.missing("a search of the Hub", "list the models in a file, and pass --from FILE")

    def cached(self, repo: HubRepo, commit: str, path: str) -> Path | None:
        """Return the link to a file if it leads into this cache."""
        link = super().cached(repo, commit, path)
        return link if link is not None and is_inside(link, self.folder.root) else None

    def add_to_cache(self, repo: HubRepo, commit: str, name: str, file: Path) -> Path:
        """Link a file under its own name; returns the link."""
        return _link(file, self.snapshot(repo, commit) / name)


@dataclass(kw_only=True)
class CachedUrls(Urls):
    """Files of web servers in a cache."""

    cache: CacheFolder

    def cached(self, url: Url) -> None:
        """Return None: the files are found by their digests."""

    def named(self, url: Url, file: Path) -> Path:
        """Link a file under the name that it has on its server; returns the link."""
        return _link(file, self._path(url))

    def _check_allowed(self, url: Url) -> None:
        raise self.cache.missing(str(url))


def _link(file: Path, link: Path) -> Path:
    """Create or replace a link, or a copy where the file system has no links. Raise SourceError."""
    try:
        with suppress(OSError):
            if link.samefile(file):
                return link
        with replacing(link) as partial:
            link_or_copy(file.absolute(), partial)
    except OSError as error:
        raise SourceError(f"{link}: cannot write there: {error.strerror or error}") from None
    return link
