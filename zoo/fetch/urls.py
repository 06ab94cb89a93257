"""Files by URL, downloaded into a folder; `zoo.fetch.sources` verifies them.

Errors that can be temporary (a 503, a closed connection, a short body) are retried, and no download waits longer than
the deadline without a new byte. `zoo.fetch.limits` bounds the size of a download and how slow it may be.
"""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from huggingface_hub import constants
from tenacity import RetryCallState, Retrying, retry_if_exception
from urllib3.exceptions import NewConnectionError

from zoo import paths
from zoo.errors import SourceError, UnreachableError
from zoo.fetch.archive import extract_member, storing
from zoo.fetch.hub_errors import offline_advice
from zoo.fetch.limits import check_length, connect_deadline, deadline, max_ratio, time_left
from zoo.fetch.requesting import CHUNK_SIZE, pieces, requesting
from zoo.fetch.retry import is_temporary, pause
from zoo.fetch.servers import Servers
from zoo.fetch.source_types import ArchiveMember, Url
from zoo.files import is_inside


class _Progress:
    """Counts the bytes of a download, over all of its attempts."""

    def __init__(self, url: Url, on_bytes: Callable[[int], None]) -> None:
        self.url, self.on_bytes = url, on_bytes
        self.started = self.last_byte = time.monotonic()
        self.furthest = 0

    def reached(self, position: int) -> None:
        """Count the bytes up to a position; one that starts again repeats bytes that were counted before."""
        if position > self.furthest:
            check_length(position, str(self.url))
            self.on_bytes(position - self.furthest)
            self.furthest, self.last_byte = position, time.monotonic()

    def time_left(self, limit: float) -> float:
        """Return the seconds until the download has to be abandoned."""
        return time_left(self.started, self.last_byte, self.furthest, time.monotonic(), limit)


@dataclass
class Urls:
    """Download files by URL."""

    on_bytes: Callable[[int], None] = lambda length: None
    """Called with the length of every new part that is downloaded."""
    folder: Path | None = None
    """The folder of the downloads; `downloads` in ZOO_HOME if it is None."""
    stopped: bool = False
    """Whether to abandon running downloads and start no others."""
    servers: Servers = field(default_factory=Servers)
    """The servers that have answered, and those that have not; the Hub object of the same command shares it."""
    without_sizes: dict[str, str] = field(default_factory=dict)
    """The servers that did not answer when they were asked for a size, and why; no size is asked of them again."""
    selection: str = "ENTRY"
    """The arguments of `zoo fetch` that fetch what is read, for messages."""
    only_errors: set[str] = field(default_factory=set)
    """Servers that answered with temporary errors until the deadline; nothing is retried until they serve a file."""

    def cached(self, url: Url) -> Path | None:
        """Return the file if it was downloaded before; sends no request."""
        path = self._path(url)
        return path if path.is_file() else None

    def named(self, url: Url, file: Path) -> Path:
        """Return a file that a mirror has, under whatever name, as the file at the URL."""
        return file

    def owns(self, path: Path) -> bool:
        """Return whether a file lies in the folder of downloads, and not behind a link to a file of the user's own."""
        return is_inside(path, self._folder)

    def size(self, url: Url, *, public_only: bool = False) -> int:
        """Ask the server for the file's size in bytes; 0 if the server does not say. Raises SourceError.

        Args:
            url: The URL.
            public_only: Whether the URL must be an https URL of a public host.
        """
        self._check_allowed(url)
        if why := self.without_sizes.get(url.origin):
            raise self._unreachable_error(url, why)
        try:
            with requesting("HEAD", url.url, deadline(), public_only=public_only) as answer:
                answer.raise_for_status()
                return _announced_length(answer)
        except requests.RequestException as error:
            if _is_not_connected(error):
                why = self.without_sizes.setdefault(url.origin, f"{url.origin} did not answer: {_describe(error)}")
                raise self._unreachable_error(url, why) from None
            raise SourceError(f"{url}: {_describe(error)}") from None

    def download(self, url: Url, *, public_only: bool = False) -> Path:
        """Download the file, whether or not it was downloaded before. Raises SourceError, by the deadline.

        Args:
            url: The URL.
            public_only: Whether the URL must be an https URL of a public host.
        """
        self._check_allowed(url)
        limit, progress, path = deadline(), _Progress(url, self._count), self._path(url)
        retrying = Retrying(
            retry=retry_if_exception(_may_pass), wait=_pause, reraise=True,
            stop=lambda state: self._gives_up(url, state, progress, limit),
        )  # fmt: skip
        with storing(url, path) as partial:
            try:
                retrying(_download, url, partial, progress, limit, public_only)
            except requests.RequestException as error:
                raise self._not_served(url, error, progress) from None
        self.only_errors.discard(url.origin)
        self.servers.answered.add(url.origin)
        return path

    def extract(self, source: ArchiveMember, archive: Path) -> tuple[Path, str]:
        """Extract a file from a downloaded archive and return it with its SHA-256; see `extract_member`."""
        # the archive chooses neither the folder nor the name of the file
        path = self._folder / member_name(source)
        return path, extract_member(source, archive, path)

    def _gives_up(self, url: Url, state: RetryCallState, progress: _Progress, limit: float) -> bool:
        """Return whether a download is not tried again after a try that ended in this state."""
        if self.stopped or url.origin in self.only_errors:
            return True
        if progress.furthest or url.origin in self.servers.answered:
            return state.upcoming_sleep >= progress.time_left(limit)
        error = state.outcome.exception() if state.outcome else None
        limit = connect_deadline(limit) if _is_not_connected(error) else limit
        return self.servers.problem(url.origin) is not None or state.upcoming_sleep >= progress.time_left(limit)

    def _not_served(self, url: Url, error: requests.RequestException, progress: _Progress) -> SourceError:
        """Return the error of a download that was given up, and remember a server that did not answer."""
        if not progress.furthest and _may_pass(error):
            self.only_errors.add(url.origin)
        tried = f"{time.monotonic() - progress.started:.1f} s: {_describe(error)}"
        if progress.furthest or _answer(error) is not None:
            return SourceError(f"{url}: {url.origin} did not serve it in {tried}")
        return self._unreachable_error(url, self.servers.give_up(url.origin, f"{url.origin} did not answer in {tried}"))

    def _count(self, length: int) -> None:
        if self.stopped:
            raise SourceError("the download was interrupted")
        self.on_bytes(length)

    @property
    def _folder(self) -> Path:
        return self.folder or paths.home() / "downloads"

    def _path(self, url: Url) -> Path:
        return self._folder / download_name(str(url))

    def _check_allowed(self, url: Url) -> None:
        """Raise UnreachableError if no request may be sent, or if the server is known not to answer."""
        if self.stopped:
            raise SourceError(f"{url}: the download was interrupted")
        if constants.is_offline_mode():
            raise UnreachableError(f"{url}: {offline_advice('downloaded yet', self.selection)}")
        if why := self.servers.problem(url.origin):
            raise self._unreachable_error(url, why)

    def _unreachable_error(self, url: Url, why: str) -> UnreachableError:
        return UnreachableError(f"{url}: {why}", server=url.origin, reason=why)


def _download(url: Url, partial: Path, progress: _Progress, limit: float, public_only: bool) -> None:
    with requesting("GET", url.url, limit, public_only=public_only) as answer, partial.open("wb") as file:
        answer.raise_for_status()
        check_length(_announced_length(answer), str(url))
        position = 0
        for piece in pieces(answer):
            position += len(piece)
            _check_ratio(url, position, answer)
            progress.reached(position)
            if progress.time_left(limit) <= 0:
                raise SourceError(f"{url}: too slow: {position:,} bytes in {time.monotonic() - progress.started:.0f} s")
            file.write(piece)


def _check_ratio(url: Url, position: int, answer: requests.Response) -> None:
    """Raise SourceError if the server sends a compressed body that unpacks to far too many bytes."""
    received = answer.raw.tell()
    if position > max_ratio() * max(received, CHUNK_SIZE):
        raise SourceError(f"{url}: {received:,} compressed bytes unpack to {position:,} or more, which is refused")


def _announced_length(answer: requests.Response) -> int:
    """Return the length of the body, or 0 if the server does not say."""
    text = answer.headers.get("content-length", "")
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else 0


def download_name(source: str) -> str:
    """Return the name of a source's file in the cache: a digest of the source, and the end of its own name."""
    digest = hashlib.md5(source.encode(), usedforsecurity=False).hexdigest()
    return f"{digest}-{_short(urlsplit(source).path.rpartition('/')[2])}"


def member_name(source: ArchiveMember) -> str:
    """Return the name of the file in the cache that is extracted from an archive."""
    prefix = download_name(str(source)).partition("-")[0]
    return f"{prefix}-{_short(source.short_name)}"


def _short(name: str) -> str:
    """Return the end of a file name, without characters that need more than one byte: names have at most 255."""
    return re.sub(r"[^\x20-\x7e]", "_", name[-100:])


def _may_pass(error: BaseException) -> bool:
    if (answer := _answer(error)) is not None:
        return is_temporary(answer.status_code)
    return isinstance(error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError)


def _pause(state: RetryCallState) -> float:
    answer = _answer(state.outcome.exception() if state.outcome else None)
    return pause(state, "" if answer is None else answer.headers.get("Retry-After", ""))


def _is_not_connected(error: BaseException | None) -> bool:
    """Return whether no connection was made: the server refuses it, its name is unknown, or there is no network."""
    cause = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def _answer(error: BaseException | None) -> requests.Response | None:
    """Return the server's answer if it is an HTTP error."""
    return error.response if isinstance(error, requests.HTTPError) else None


def _describe(error: requests.RequestException) -> str:
    if (answer := _answer(error)) is not None:
        return f"status {answer.status_code}"
    if _is_not_connected(error):  # such as: HTTPSConnection(host='...', port=443): Failed to resolve '...' (...)
        return str(error.args[0].reason).partition(": ")[2]  # urllib3 2.2 names the connection in another form
    return "no byte came in time" if isinstance(error, requests.Timeout) else type(error).__name__
