"""Files by URL, downloaded by pooch into a folder of their own; `zoo.sources` verifies them.

What may pass (a 503, a closed connection, a short body) is tried again, and nothing waits longer than the deadline
without a new byte.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
from huggingface_hub import constants
from tenacity import RetryCallState, Retrying, retry_if_exception

from zoo import places
from zoo.errors import SourceError
from zoo.patience import deadline, pause, status_may_pass

SCHEMES = ("https://", "http://")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class _Watch:
    """What pooch takes for a progress bar; keeps when the last byte came that had not come before."""

    def __init__(self, on_bytes: Callable[[int], None]) -> None:
        self.on_bytes, self.total, self.came, self.furthest = on_bytes, 0, 0, 0
        self.moved = time.monotonic()

    def update(self, length: int) -> None:
        self.came = min(self.came + length, self.total or self.came + length)
        if self.came > self.furthest:  # what is begun anew brings no new byte
            self.on_bytes(self.came - self.furthest)
            self.furthest, self.moved = self.came, time.monotonic()

    def reset(self) -> None:
        """Pooch fills its bar up at the end."""
        self.came = 0

    def close(self) -> None:
        """There is nothing to close."""


@dataclass
class Urls:
    """Downloads; `on_bytes` is told of every new part's length."""

    on_bytes: Callable[[int], None] = lambda length: None
    folder: Path | None = None
    """Where files are kept; a folder of the user's own where left out."""
    stopped: bool = False
    """Whether all that is asked for is to be given up."""
    down: dict[str, str] = field(default_factory=dict)
    """The servers that did not answer at all, and why: nothing more is asked of them."""

    def cached(self, url: str) -> Path | None:
        """The file if it was downloaded before; asks nobody."""
        path = self._kept(url)
        return path if path.is_file() else None

    def size(self, url: str) -> int:
        """Its size in bytes as the server tells it, 0 where it does not. Raises SourceError."""
        self._check(url)
        try:
            answer = requests.head(url, timeout=deadline(), allow_redirects=True)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise SourceError(f"{url}: {_said(error)}") from None
        return int(answer.headers.get("content-length", 0))

    def download(self, url: str) -> Path:
        """The file, downloaded anew. Raises SourceError, by the deadline."""
        self._check(url)
        asked, limit, kept = time.monotonic(), deadline(), self._kept(url)
        part, watch = kept.with_name(f".{kept.name}.{time.monotonic_ns()}"), _Watch(self._moved)

        def ask() -> None:
            watch.came = 0
            try:
                pooch.HTTPDownloader(progressbar=watch, chunk_size=1 << 16, timeout=limit)(url, str(part), None)
            except requests.RequestException as error:
                if error.response is not None:  # pooch leaves it open
                    error.response.close()
                raise

        patiently = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=_pause,
            stop=lambda state: self.stopped or time.monotonic() - watch.moved + state.upcoming_sleep >= limit,
            reraise=True,
        )
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            patiently(ask)
            return part.replace(kept)
        except requests.RequestException as error:
            why = f"not served in {time.monotonic() - asked:.1f} s: {_said(error)}"
            if not watch.furthest and _answer(error) is None:
                self.down[origin(url)] = why
            raise SourceError(f"{url}: {why}") from None
        except OSError as error:
            raise SourceError(f"{url}: cannot be kept in {kept.parent}: {error.strerror or error}") from None
        finally:
            part.unlink(missing_ok=True)

    def _moved(self, length: int) -> None:
        if self.stopped:
            raise SourceError("given up")
        self.on_bytes(length)

    def _kept(self, url: str) -> Path:
        name: str = pooch.utils.unique_file_name(url)
        return (self.folder or places.home() / "downloads") / name

    def _check(self, url: str) -> None:
        """Raise SourceError where nothing may be asked, or it would be in vain."""
        if constants.is_offline_mode():
            raise SourceError(f"{url}: not downloaded yet, and HF_HUB_OFFLINE is set; `zoo fetch` gets it online")
        if why := self.down.get(origin(url)):
            raise SourceError(f"{url}: {why}")


def problem(url: str) -> str | None:
    """What is wrong with a URL as it is written."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return f"{url!r}: {error}"
    if not parts.hostname or not parts.path.strip("/"):
        return f"{url!r} names no file; write https://HOST/PATH"
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return f"{url!r}: write https://; http:// is for a server on this machine"
    return None


def origin(url: str) -> str:
    """Whom a URL asks, without a password: what is seen at first use is kept by it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def file_name(url: str) -> str:
    """The last part of a URL's path."""
    return urlsplit(url).path.rpartition("/")[2]


def _may_pass(error: BaseException) -> bool:
    if (answer := _answer(error)) is not None:
        return status_may_pass(answer.status_code)
    return isinstance(error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError)


def _pause(state: RetryCallState) -> float:
    answer = _answer(state.outcome.exception() if state.outcome else None)
    return pause(state, "" if answer is None else answer.headers.get("Retry-After", ""))


def _answer(error: BaseException | None) -> requests.Response | None:
    """What a server answered that refuses."""
    return error.response if isinstance(error, requests.HTTPError) else None


def _said(error: requests.RequestException) -> str:
    if (answer := _answer(error)) is not None:
        return f"status {answer.status_code}"
    return "no byte came in time" if isinstance(error, requests.Timeout) else type(error).__name__
