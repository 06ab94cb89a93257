"""Files by URL, downloaded by pooch into a folder; `zoo.fetch.sources` verifies them.

Errors that can be temporary (a 503, a closed connection, a short body) are retried, and no download waits longer than
the deadline without a new byte.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pooch
import requests
from huggingface_hub import constants
from tenacity import RetryCallState, Retrying, retry_if_exception

from zoo import paths
from zoo.errors import SourceError
from zoo.fetch.archive import extract_member, storing
from zoo.fetch.retry import deadline, is_temporary, pause
from zoo.fetch.source_types import ArchiveMember, Url
from zoo.files import is_inside

CHUNK_SIZE = 1 << 16
"""Bytes."""


class _Progress:
    """The interface of a progress bar that pooch expects; remembers when the last new byte arrived."""

    def __init__(self, on_bytes: Callable[[int], None]) -> None:
        self.on_bytes, self.total, self.position, self.furthest = on_bytes, 0, 0, 0
        self.last_byte = time.monotonic()

    def update(self, length: int) -> None:
        self.position = min(self.position + length, self.total or self.position + length)
        if self.position > self.furthest:  # a download that starts again repeats bytes that were counted before
            self.on_bytes(self.position - self.furthest)
            self.furthest, self.last_byte = self.position, time.monotonic()

    def reset(self) -> None:
        """Called by pooch before it fills the bar at the end."""
        self.position = 0

    def close(self) -> None:
        """There is nothing to close."""


@dataclass
class Urls:
    """Download files by URL."""

    on_bytes: Callable[[int], None] = lambda length: None
    """Called with the length of every new part that is downloaded."""
    folder: Path | None = None
    """The folder of the downloads; `downloads` in ZOO_HOME if it is None."""
    stopped: bool = False
    """Whether to abandon running downloads and start no others."""
    unreachable: dict[str, str] = field(default_factory=dict)
    """The servers that did not answer at all, and why; no more requests are sent to them."""

    def cached(self, url: Url) -> Path | None:
        """Return the file if it was downloaded before; sends no request."""
        path = self._path(url)
        return path if path.is_file() else None

    def owns(self, path: Path) -> bool:
        """Return whether a file lies in the folder of downloads, and not behind a link to a file of the user's own."""
        return is_inside(path, self._folder)

    def size(self, url: Url) -> int:
        """Ask the server for the file's size in bytes; 0 if the server does not say. Raises SourceError."""
        self._check_allowed(url)
        try:
            answer = requests.head(url.url, timeout=deadline(), allow_redirects=True)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise SourceError(f"{url}: {_describe(error)}") from None
        return int(answer.headers.get("content-length", 0))

    def download(self, url: Url) -> Path:
        """Download the file, whether or not it was downloaded before. Raises SourceError, by the deadline."""
        self._check_allowed(url)
        started, limit, progress = time.monotonic(), deadline(), _Progress(self._count)
        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=_pause,
            stop=lambda state: self.stopped or time.monotonic() - progress.last_byte + state.upcoming_sleep >= limit,
            reraise=True,
        )
        path = self._path(url)
        with storing(url, path) as partial:
            try:
                retrying(_download, url, partial, progress, limit)
            except requests.RequestException as error:
                why = f"not served in {time.monotonic() - started:.1f} s: {_describe(error)}"
                if not progress.furthest and _answer(error) is None:
                    self.unreachable[url.origin] = why
                raise SourceError(f"{url}: {why}") from None
        return path

    def extract(self, source: ArchiveMember, archive: Path) -> tuple[Path, str]:
        """Extract a file from a downloaded archive and return it with its SHA-256; see `extract_member`."""
        # the archive chooses neither the folder nor the name of the file
        prefix = pooch.utils.unique_file_name(str(source)).partition("-")[0]
        path = self._folder / f"{prefix}-{source.short_name[-100:]}"
        return path, extract_member(source, archive, path)

    def _count(self, length: int) -> None:
        if self.stopped:
            raise SourceError("the download was interrupted")
        self.on_bytes(length)

    @property
    def _folder(self) -> Path:
        return self.folder or paths.home() / "downloads"

    def _path(self, url: Url) -> Path:
        name: str = pooch.utils.unique_file_name(str(url))
        return self._folder / name

    def _check_allowed(self, url: Url) -> None:
        """Raise SourceError if no request may be sent, or if the server is known to be unreachable."""
        if self.stopped:
            raise SourceError(f"{url}: the download was interrupted")
        if constants.is_offline_mode():
            missing = "not downloaded yet, and HF_HUB_OFFLINE is set; run `zoo fetch` once without HF_HUB_OFFLINE"
            raise SourceError(f"{url}: {missing}")
        if why := self.unreachable.get(url.origin):
            raise SourceError(f"{url}: {why}")


def _download(url: Url, partial: Path, progress: _Progress, timeout: float) -> None:
    progress.position = 0
    try:
        pooch.HTTPDownloader(progressbar=progress, chunk_size=CHUNK_SIZE, timeout=timeout)(url.url, str(partial), None)
    except requests.RequestException as error:
        if error.response is not None:  # pooch leaves it open
            error.response.close()
        raise


def _may_pass(error: BaseException) -> bool:
    if (answer := _answer(error)) is not None:
        return is_temporary(answer.status_code)
    return isinstance(error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError)


def _pause(state: RetryCallState) -> float:
    answer = _answer(state.outcome.exception() if state.outcome else None)
    return pause(state, "" if answer is None else answer.headers.get("Retry-After", ""))


def _answer(error: BaseException | None) -> requests.Response | None:
    """Return the server's answer if it is an HTTP error."""
    return error.response if isinstance(error, requests.HTTPError) else None


def _describe(error: requests.RequestException) -> str:
    if (answer := _answer(error)) is not None:
        return f"status {answer.status_code}"
    return "no byte came in time" if isinstance(error, requests.Timeout) else type(error).__name__
