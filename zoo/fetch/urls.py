"""Files by URL, downloaded by pooch into a folder of their own; `zoo.fetch.sources` verifies them.

What may pass (a 503, a closed connection, a short body) is tried again, and nothing waits longer than the deadline
without a new byte. Of a zip, `URL#MEMBER`, one file is read, into a file that is named here and not by the archive.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pooch
import requests
from huggingface_hub import constants
from tenacity import RetryCallState, Retrying, retry_if_exception

from zoo import paths
from zoo.errors import IntegrityError, MissingError, SourceError, ZooError, first_line
from zoo.fetch.checksum import sha256
from zoo.fetch.retry import deadline, pause, status_may_pass

SCHEMES = ("https://", "http://")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
MEMBER = "#"
"""Between the URL of an archive and the path of a file in it, or the end of that path."""
LARGEST = 100
"""How many times as large as its archive a file in it may be."""
PIECE = 1 << 20
COMPARED, LONGEST = 1000, 200
"""How many names of an archive are compared with a wrong one, and how much of each is shown."""


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
        asked, limit, watch = time.monotonic(), deadline(), _Watch(self._moved)

        def ask(part: Path) -> None:
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
        with _written(url, self._kept(url)) as part:
            try:
                patiently(ask, part)
            except requests.RequestException as error:
                why = f"not served in {time.monotonic() - asked:.1f} s: {_said(error)}"
                if not watch.furthest and _answer(error) is None:
                    self.down[origin(url)] = why
                raise SourceError(f"{url}: {why}") from None
        return self._kept(url)

    def member(self, source: str, archive: Path) -> tuple[Path, str]:
        """The file that a source names in its archive, which is here, and its SHA-256.

        It is read out anew unless it is there and whole. Raises MissingError where the archive has no such file or
        several, IntegrityError where it is damaged or unpacks to far too much, SourceError where it cannot be kept.
        """
        name: str = pooch.utils.unique_file_name(source)
        kept = self._kept(source).with_name(f"{name.partition('-')[0]}-{source.rpartition('/')[2][-100:]}")
        with _readable(source), ZipFile(archive) as opened:
            entry = _chosen(source, opened.infolist(), archive.stat().st_size)
            digest = hashlib.sha256()
            for piece in _pieces(opened, entry):
                digest.update(piece)
            if not kept.is_file() or sha256(kept) != digest.hexdigest():
                with _written(source, kept) as part, part.open("wb") as file:
                    file.writelines(_pieces(opened, entry))
        return kept, digest.hexdigest()

    def _moved(self, length: int) -> None:
        if self.stopped:
            raise SourceError("given up")
        self.on_bytes(length)

    def _kept(self, url: str) -> Path:
        name: str = pooch.utils.unique_file_name(url)
        return (self.folder or paths.home() / "downloads") / name

    def _check(self, url: str) -> None:
        """Raise SourceError where nothing may be asked, or it would be in vain."""
        if self.stopped:
            raise SourceError(f"{url}: given up")
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
    if MEMBER in url and not (parts.path.endswith(".zip") and parts.fragment):
        return f"{url!r}: after # stands a file of a zip; write https://HOST/PATH.zip#MEMBER"
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return f"{url!r}: write https://; http:// is for a server on this machine"
    return None


def origin(url: str) -> str:
    """Whom a URL asks, without a password: what is seen at first use is kept by it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def address(source: str) -> str:
    """What is asked of the server, and pinned: of a file in an archive, the archive. Any other source as it is."""
    return source.partition(MEMBER)[0] if source.startswith(SCHEMES) else source


def file_name(url: str) -> str:
    """The last part of a URL's path."""
    return urlsplit(url).path.rpartition("/")[2]


@contextmanager
def _written(source: str, kept: Path) -> Iterator[Path]:
    """A new file that takes the place of `kept` when it is whole. Raises SourceError where it cannot be kept."""
    part = kept.with_name(f".{kept.name}.{time.monotonic_ns()}")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(kept)
    except OSError as error:
        raise SourceError(f"{source}: cannot be kept in {kept.parent}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _readable(source: str) -> Iterator[None]:
    """Raise IntegrityError for what a damaged archive does to its reader."""
    try:
        yield
    except ZooError:
        raise
    except OSError as error:
        raise SourceError(f"{source}: {error.strerror or error}") from None
    except Exception as error:  # zlib has errors of its own
        raise IntegrityError(
            f"{source}: the archive cannot be read: {first_line(error) or type(error).__name__}"
        ) from None


def _chosen(source: str, entries: list[ZipInfo], size: int) -> ZipInfo:
    """The one file whose path is the member's or else ends with it."""
    url, _, member = source.partition(MEMBER)
    files = [entry for entry in entries if not entry.is_dir()]
    found = [entry for entry in files if entry.filename == member]
    found = found or [entry for entry in files if entry.filename.endswith(f"/{member}")]
    if len(found) != 1:
        names = [entry.filename for entry in files[:COMPARED]]
        near = [repr(name[:LONGEST]) for name in get_close_matches(member, names, n=12, cutoff=0)]
        more = f" and {len(files) - len(near)} more" if len(files) > len(near) else ""
        several = f"{len(found)} files that are" if found else "no file"
        raise MissingError(f"{url} has {several} {member!r}; it has {', '.join(near) or 'no file'}{more}")
    if found[0].compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # of others zipfile unpacks more than it is asked for
        raise IntegrityError(
            f"{source}: is packed by method {found[0].compress_type}; stored and deflated files are read"
        )
    if found[0].file_size > LARGEST * size:
        raise IntegrityError(f"{source}: unpacks to {found[0].file_size:,} bytes, from an archive of {size:,}")
    return found[0]


def _pieces(archive: ZipFile, entry: ZipInfo) -> Iterator[bytes]:
    """The content of a file in an archive; its end is reached only where its checksum holds."""
    with archive.open(entry) as file:
        while piece := file.read(PIECE):
            yield piece


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
