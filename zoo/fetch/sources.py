"""Fetch the files of a source, verified before anything reads them. `zoo.fetch.source_types` lists the sources.

A mirror is a local folder that is searched by SHA-256 before anything is downloaded. A task that can read a local
folder takes the one that `--data NAME=DIR` names instead of a data set of the Hub with that name.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from os.path import exists
from pathlib import Path
from typing import Any

from zoo import paths
from zoo.errors import IntegrityError, NoDataError, NoFileError, UsageError, did_you_mean
from zoo.fetch.cache_folder import CacheFolder
from zoo.fetch.fetched import Fetched
from zoo.fetch.hub import Hub
from zoo.fetch.local_files import (
    fetch_as_repository,
    fetch_local,
    fetched_file,
    fetched_folder,
    fetched_tokenizer,
    missing_file_error,
)
from zoo.fetch.lock import FilePin, Lock, Pin, read_lock
from zoo.fetch.mirror import Mirror
from zoo.fetch.pin_store import PinStore
from zoo.fetch.published_paths import file_beside_recipe, publishing_problem
from zoo.fetch.repository import RepositoryFetcher
from zoo.fetch.servers import Servers
from zoo.fetch.source_types import (
    EMBEDDED,
    ArchiveMember,
    Embedded,
    HubRepo,
    LocalFile,
    ParsedSource,
    RecipeRepo,
    Url,
    UserFolder,
    parse_source,
    parsed,
    pinned_source,
)
from zoo.fetch.url_fetcher import FetchedArchives, UrlFetcher
from zoo.fetch.urls import Urls
from zoo.progress import Report, ignore_message

AnySource = str | ParsedSource
"""A source as text, or parsed."""

LOGGER = logging.getLogger(__name__)


@dataclass
class Sources:
    """Fetch sources. Each is verified once in a process."""

    lock: Lock = field(default_factory=read_lock)
    hub: Hub = field(default_factory=Hub)
    urls: Urls = field(default_factory=Urls)
    mirror: Mirror | None = None
    """A folder to search by SHA-256 before anything is downloaded."""
    data: Mapping[str, Path] = field(default_factory=paths.data)
    """The local folders of data sets, by name."""
    report: Report = ignore_message
    """Prints a message for the user."""
    cache: CacheFolder | None = None
    """The cache that all files are read from, or that they are added to."""
    fetched: dict[tuple[ParsedSource, str], Fetched] = field(default_factory=dict)
    """The results so far, by source and purpose."""
    archives: FetchedArchives = field(default_factory=FetchedArchives)
    recipe_repo: str | None = None
    """The source of the repository that the recipe is published in, at its commit; `hub:.` stands for it. Such a
    recipe may not name files of this machine, and only https URLs of public hosts."""
    recipe_folder: Path | None = None
    """The folder in which relative paths are looked up first, before the working directory: that of the recipe."""
    reported: set[str] = field(default_factory=set)
    """The sources that were reported as trusted on first use, and the messages that were reported once."""
    servers: Servers = field(default_factory=Servers)
    """The servers that have answered, and those that have not."""
    selection: str = "ENTRY"
    """The arguments of `zoo fetch` that fetch what is read, for messages."""

    def __post_init__(self) -> None:
        self.hub.report = self.report
        self.hub.servers = self.urls.servers = self.servers
        self.hub.selection = self.urls.selection = self.selection

    def fetch(self, source: AnySource, want: str = "weights") -> Fetched:
        """Return the verified files of a source.

        Args:
            source: The source.
            want: The files of a repository to fetch: `weights`, a key of `zoo.fetch.repository_files.WANTS`,
                `data/NAME` for one configuration of a data set, `./PATH:WANT` for a file or for a purpose of a folder,
                or the name of one file.

        Raises:
            UsageError: The source is malformed.
            IntegrityError: Bytes are not the expected ones.
            SourceError: Files cannot be downloaded or read.
        """
        if problem := self.problem(source):
            raise UsageError(problem)
        written, actual = parsed(source), self.resolve(source)
        if isinstance(written, LocalFile) and self.recipe_repo is not None:
            if (place := self.data.get(str(written.repository_path))) is not None:
                return fetch_local(LocalFile(str(place)), want).renamed(written)
            return file_beside_recipe(written, want, lambda purpose: self.fetch(str(self.recipe_repo), purpose))
        if isinstance(written, RecipeRepo) and self.recipe_repo is None and self.recipe_folder is not None:
            return fetch_as_repository(written, self.recipe_folder, want)
        if (actual, want) not in self.fetched:
            self.fetched[actual, want] = self._fetch(actual, want)
            LOGGER.info("%s: %s from %s", actual, want, self.fetched[actual, want].path)
        fetched = self.fetched[actual, want]
        return fetched.renamed(written) if written != actual else fetched

    def report_once(self, message: str) -> None:
        """Report a message, unless it was reported before."""
        if message not in self.reported:
            self.reported.add(message)
            self.report(message)

    def problem(self, source: AnySource) -> str | None:
        """Return the problem of a malformed or unknown source, or None; reads no file and sends no request."""
        try:
            value = parsed(source)
        except UsageError as error:
            return str(error)
        if isinstance(value, Embedded) and value.name not in (shipped := list(self.lock.locked(EMBEDDED).files)):
            return f"{source} is not in {self.lock.path}{did_you_mean(value.name, shipped)}"
        if isinstance(value, RecipeRepo) and self.recipe_repo is None and self.recipe_folder is None:
            return f"{source} means the repository of a published recipe, or the folder of a recipe file; there is none"
        return publishing_problem(value) if self.recipe_repo is not None else None

    def missing_file(self, source: AnySource) -> NoFileError | None:
        """Return the error for a local file or folder that does not exist; None for any other source."""
        value = self.resolve(source)
        if self.recipe_repo is not None:  # a file of its repository, which is looked up when it is fetched
            return None
        if not isinstance(value, LocalFile) or exists(value.expanded):  # noqa: PTH110 - also for a name that is too long
            return None
        return missing_file_error(value, self.recipe_folder)

    def known_pin(self, source: AnySource) -> Pin:
        """Return the pin of a source: that of the lock, completed by that of the first use on this machine."""
        return self.pins.known_pin(parsed(source))

    def is_locked(self, source: AnySource) -> bool:
        """Return whether the lock itself pins a source."""
        return self.pins.is_locked(parsed(source))

    def pinned_by(self, source: AnySource) -> str:
        """Return what pins a source: `lock`, `first use`, or `-` for a source that is not pinned."""
        return self.pins.pinned_by(parsed(source))

    def folder(self, source: AnySource) -> Path | None:
        """Return the local folder that the user has named for a data set, on the Hub or not; None if there is none."""
        value = parsed(source)
        is_data = isinstance(value, UserFolder) or (isinstance(value, HubRepo) and value.kind == "dataset")
        folder = self.data.get(value.short_name) if is_data else None
        if folder is not None and folder.is_file():
            raise UsageError(f"--data {value.short_name}={folder}: this is a file; name the folder of the data set")
        return folder

    def download_size(self, source: AnySource, want: str) -> int:
        """Return the size in bytes of the files that `fetch` would download."""
        value = self.resolve(source)
        value = value.archive if isinstance(value, ArchiveMember) else value
        if isinstance(value, HubRepo):
            return self._repositories.download_size(value, want)
        return self._urls.download_size(value) if isinstance(value, Url) else 0

    def listed(self, source: AnySource, want: str) -> Mapping[str, FilePin]:
        """Return the files that `fetch` downloads, by name, with their sizes. None of them is downloaded."""
        value = pinned_source(self.resolve(source))
        if isinstance(value, HubRepo):
            return self._repositories.listed(value, want)[1]
        if not isinstance(value, Url):
            return {}
        pin = self.known_pin(value).files.get(value.short_name, FilePin())
        size = pin.size or self.urls.size(value, public_only=self.recipe_repo is not None) or None
        return {value.short_name: pin.over(FilePin(size=size))}

    @property
    def pins(self) -> PinStore:
        """The pins of the lock, and those that this machine has added at first use."""
        return PinStore(self.lock, self.hub.address, self.report, self.reported, self.cache)

    @property
    def _repositories(self) -> RepositoryFetcher:
        return RepositoryFetcher(self.pins, self.hub, self.mirror)

    @property
    def _urls(self) -> UrlFetcher:
        return UrlFetcher(self.pins, self.urls, self.mirror, self.archives, self.recipe_repo, self.hub.offline)

    def resolve(self, source: AnySource) -> ParsedSource:
        """Return the source that is read: the repository or the folder of the recipe, or the place of a local file."""
        value = parsed(source)
        if self.recipe_repo is not None:
            return parse_source(self.recipe_repo) if isinstance(value, RecipeRepo) else value
        if isinstance(value, RecipeRepo) and self.recipe_folder is not None:
            return LocalFile(str(self.recipe_folder.absolute()))
        return value.below(self.recipe_folder) if isinstance(value, LocalFile) and self.recipe_folder else value

    def _fetch(self, source: ParsedSource, want: str) -> Fetched:
        match source:
            case Embedded(name):
                return self._embedded(source, self.lock.locked(EMBEDDED).files[name])
            case LocalFile():
                if missing := self.missing_file(source):
                    raise missing
                return fetch_local(source, want)
            case UserFolder(name):
                if (folder := self.folder(source)) is None:
                    raise NoDataError(name)
                return fetched_tokenizer(source, folder) if want == "tokenizer" else fetched_folder(source, folder)
            case Url():
                return self._urls.fetch(source)
            case ArchiveMember():
                return self._urls.fetch_member(source)
            case HubRepo():
                return self._repositories.fetch(source, want)
            case RecipeRepo():
                raise UsageError(str(self.problem(source)))

    def _embedded(self, source: Embedded, pin: FilePin) -> Fetched:
        path = paths.PACKAGE / "starter" / source.name
        fetched = fetched_file(source, path)
        if fetched.sha256 != pin.sha256:
            raise IntegrityError(f"{path}: expected sha256 {pin.sha256}, found {fetched.sha256}")
        return fetched


@dataclass(frozen=True)
class Source:
    """A source as an argument of a task, model or tokenizer: it is fetched when it is needed."""

    sources: Sources
    name: str
    """The source's text."""

    @property
    def short_name(self) -> str:
        """The last part of the name: of a data set, the NAME of `--data NAME=DIR`."""
        return parse_source(self.name).short_name

    @property
    def is_local_file(self) -> bool:
        """Whether this is a file or folder that the recipe itself names by its path."""
        return isinstance(parse_source(self.name), LocalFile)

    def fetch(self, want: str = "weights") -> Fetched:
        """See `Sources.fetch`."""
        return self.sources.fetch(self.name, want)

    def folder(self) -> Path | None:
        """See `Sources.folder`."""
        return self.sources.folder(self.name)

    @staticmethod
    def needed(value: Any, name: str = "data") -> "Source":
        """Return an argument that must be a source; raises UsageError for any other value.

        Args:
            value: The argument's value.
            name: The argument's name, for the message.
        """
        if not isinstance(value, Source):
            raise UsageError(f"{name}: {value!r} is not a source; for a local file write file:{value}")
        return value
