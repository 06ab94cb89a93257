"""The Hugging Face Hub, or what stands at HF_ENDPOINT: listings and files of repositories, at full commits only.

The client library downloads and caches; what it does not retry (a 503 on a file, a closed connection, a short body) is
retried here, and nothing waits longer than a deadline without a new byte. Bytes are not trusted here but verified by
`zoo.fetch.sources`. What is loaded, is loaded from the files that this returns, never by the name of a repository.
"""

import errno
import logging
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from filelock import FileLock, Timeout
from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.tqdm import tqdm
from tenacity import RetryCallState, Retrying, retry_if_exception

from zoo.errors import SourceError, UsageError, first_line
from zoo.fetch import retry
from zoo.fetch.lock import COMMIT

T = TypeVar("T")
OnBytes = Callable[[int], None]
SCHEME = "hub:"
PATIENT = 3.0
"""Seconds after which it is said that a request is made again and again."""
constants.DOWNLOAD_CHUNK_SIZE = 1 << 16  # bytes are told of by this many, and 10 MB may take longer than the deadline


@dataclass(frozen=True)
class Repository:
    """A repository as a recipe names it: `hub:[datasets/]OWNER/NAME[@REVISION]`."""

    kind: str
    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, source: str) -> "Repository":
        """Raises UsageError for what is no name of a repository."""
        rest, _, revision = source.removeprefix(SCHEME).partition("@")
        kind = "dataset" if rest.startswith("datasets/") else "model"
        name = rest.removeprefix("datasets/")
        if name.count("/") != 1 or not all(name.split("/")):
            raise UsageError(f"{source!r} names no repository; write {SCHEME}[datasets/]OWNER/NAME")
        return cls(kind, name, revision or None)


@dataclass(frozen=True)
class Listed:
    """A file in a repository's listing: its size, and its SHA-256 or, for a small one, its git SHA-1."""

    size: int
    sha256: str | None
    git_sha1: str


class Hub:
    """Requests to one endpoint; `on_bytes` is told of every downloaded part's length."""

    def __init__(self, *, deadline: float | None = None, on_bytes: OnBytes = lambda length: None) -> None:
        self.deadline = retry.deadline() if deadline is None else deadline
        self.on_bytes = on_bytes
        self.endpoint: str = constants.ENDPOINT
        self.cache = Path(constants.HF_HUB_CACHE)
        self.down: str | None = None
        """Why nothing more is asked of it: a whole deadline passed without any answer."""
        self.say: Callable[[str], None] = lambda message: None
        self.waited = False
        """Whether it has been said that something is waited for."""
        self.strained = False
        """Whether a whole deadline passed with answers that are none: from then on nothing is asked twice."""

    @property
    def shown(self) -> str:
        """The endpoint without a password in it: what is told and written."""
        return re.sub(r"//[^/@]*@", "//", self.endpoint)

    @property
    def offline(self) -> bool:
        """Whether HF_HUB_OFFLINE forbids requests."""
        return bool(constants.is_offline_mode())

    def commit(self, repo: Repository) -> str:
        """The full commit of the repository's revision, `main` where it names none."""
        if repo.revision and COMMIT.fullmatch(repo.revision):
            return repo.revision
        revision = repo.revision or "main"
        api = self._api()
        found = self._ask(
            repo, f"revision {revision}", lambda _: api.repo_info(repo.name, revision=revision, repo_type=repo.kind)
        )
        if not COMMIT.fullmatch(str(found.sha)):
            raise SourceError(f"{repo.name}: {self.shown} does not say which commit {revision} is")
        return str(found.sha)

    def history(self, repo: Repository) -> tuple[str, ...]:
        """Every commit of the repository's branch, `main` where it names none or a commit; the newest first."""
        branch = None if repo.revision and COMMIT.fullmatch(repo.revision) else repo.revision

        def ask(_: OnBytes) -> tuple[str, ...]:
            commits = self._api().list_repo_commits(repo.name, revision=branch, repo_type=repo.kind)
            return tuple(commit.commit_id for commit in commits)

        return self._ask(repo, "history", ask)

    def listing(self, repo: Repository, commit: str) -> dict[str, Listed]:
        """Every file of the repository at a commit."""

        def ask(_: OnBytes) -> dict[str, Listed]:
            tree = self._api().list_repo_tree(repo.name, recursive=True, revision=commit, repo_type=repo.kind)
            files = [entry for entry in tree if isinstance(entry, RepoFile)]
            return {file.path: Listed(file.size, file.lfs.sha256 if file.lfs else None, file.blob_id) for file in files}

        return self._ask(repo, f"listing of {commit}", ask)

    def cached(self, repo: Repository, commit: str, path: str) -> Path | None:
        """The file if it is in the cache; asks nobody."""
        with _told(repo, path, self):
            found = try_to_load_from_cache(repo.name, path, revision=commit, repo_type=repo.kind, cache_dir=self.cache)
        return Path(found) if isinstance(found, str) else None

    def download(self, repo: Repository, commit: str, path: str) -> Path:
        """The file, from the cache if it is there."""
        furthest = 0

        def ask(on_bytes: OnBytes) -> Path:
            came = 0

            def on_part(length: int) -> None:
                nonlocal came, furthest
                came += length
                if came > furthest:  # what is begun anew brings no new byte
                    on_bytes(came - furthest)
                    furthest = came

            return Path(
                hf_hub_download(
                    repo.name, path, revision=commit, repo_type=repo.kind, cache_dir=self.cache,
                    endpoint=self.endpoint, tqdm_class=_watch(on_part),
                )
            )  # fmt: skip

        return self._ask(repo, path, ask)

    def keep(self, repo: Repository, commit: str, name: str, file: Path) -> Path:
        """Put a copy of a verified file into the cache, as if it had been downloaded."""
        folder = self.cache / f"{repo.kind}s--{repo.name.replace('/', '--')}" / "snapshots" / commit
        kept = folder / name
        part = kept.with_name(f"{kept.name}.{time.monotonic_ns()}.incomplete")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, part)
            return part.replace(kept)
        except OSError as error:
            raise _unwritten(f"{repo.name}: {name}", error, self.cache) from None
        finally:
            part.unlink(missing_ok=True)

    def forget(self, file: Path, *, and_bytes: bool) -> None:
        """Take a file that is not what it should be out of the cache; its bytes too, unless they are another file's."""
        blob = file.resolve()
        try:
            file.unlink(missing_ok=True)
            if and_bytes:
                blob.unlink(missing_ok=True)
        except OSError as error:
            raise SourceError(f"{file} is not what it should be, and cannot be removed: {error.strerror}") from None

    def settle(self, file: Path) -> None:
        """Keep a file, of which the Hub said a wrong etag, where no other one of that etag can take its place."""
        with suppress(OSError):  # a cache that is only read cannot be mended, nor can it change
            file.resolve().replace(file)

    def sweep(self, repo: Repository) -> None:
        """Remove what killed downloads left of files that nobody is downloading now."""
        folder = f"{repo.kind}s--{repo.name.replace('/', '--')}"
        for partial in (self.cache / folder / "blobs").glob("*.incomplete"):
            lock = self.cache / ".locks" / folder / f"{partial.name.split('.')[0]}.lock"
            with suppress(Timeout, OSError), FileLock(lock, timeout=0):
                partial.unlink(missing_ok=True)

    def _api(self) -> HfApi:
        return HfApi(endpoint=self.endpoint)

    def _ask(self, repo: Repository, what: str, call: Callable[[OnBytes], T]) -> T:
        """Call, again and again while what goes wrong may pass; raises SourceError, by the deadline."""
        if self.down is not None:
            raise SourceError(f"{repo.name}: {what}: {self.down}")
        moved = asked = time.monotonic()

        def on_bytes(length: int) -> None:
            nonlocal moved
            moved = time.monotonic()
            self.on_bytes(length)

        def left() -> float:
            return self.deadline - (time.monotonic() - moved)

        def wait_on(state: RetryCallState) -> None:
            if not self.waited and time.monotonic() - asked > PATIENT:
                self.waited = True
                self.say(f"{self.shown} does not answer; it is asked again until {self.deadline:g} s have passed")

        patiently = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=_pause,
            stop=lambda state: self.strained or state.upcoming_sleep >= left(),
            before_sleep=wait_on,
            reraise=True,
        )
        try:
            with _told(repo, what, self):
                found = patiently(lambda: _watched(lambda: call(on_bytes), left))
        except _GaveUpError as gave_up:
            answered = gave_up.answered or moved > asked
            why = f"{self.shown} did not serve it in {time.monotonic() - asked:.1f} s: {gave_up}"
            self.down, self.strained = (self.down, True) if answered else (why, self.strained)
            raise SourceError(f"{repo.name}: {what}: {why}") from None
        self.strained = False
        return found


class _GaveUpError(Exception):
    """What may pass did not, in time; whether the Hub answered at all."""

    def __init__(self, said: str, *, answered: bool) -> None:
        super().__init__(said)
        self.answered = answered


def _watched(call: Callable[[], T], left: Callable[[], float]) -> T:
    """Call in a thread of its own, which is left to itself when no time is left: no request can be ended from here."""
    future: Future[T] = Future()

    def run() -> None:
        _OVERHEARD.last.pop(threading.get_ident(), None)  # of another thread that had this number
        try:
            future.set_result(call())
        except BaseException as error:  # it is raised again below, in the thread that asked
            future.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while (time_left := left()) > 0 and not wait([future], timeout=min(time_left, 1.0)).done:
        pass
    if future.done():
        return future.result()
    said = _OVERHEARD.last.get(thread.ident or 0, "a request is still waiting")
    raise _GaveUpError(said, answered=said.startswith("HTTP Error"))


class _Overheard(logging.Handler):
    """What the client library says before it tries again by itself, by thread; told only where it is given up."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[int, str] = {}
        for name in ("huggingface_hub.utils._http", "huggingface_hub.file_download"):
            logger = logging.getLogger(name)
            logger.addHandler(self)
            logger.setLevel(logging.WARNING)
            logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        said, thrown, _ = record.getMessage().partition(" thrown while ")  # what follows is a URL, perhaps a signed one
        if isinstance(record.args, tuple) and record.args:
            self.last[record.thread or 0] = str(record.args[-1])
        elif thrown:
            self.last[record.thread or 0] = said


_OVERHEARD = _Overheard()


def _watch(on_bytes: OnBytes) -> type[tqdm]:
    """A progress bar of the client library that draws nothing and tells how many bytes came."""

    class Watch(tqdm):
        monitor_interval = 0  # no thread that watches over bars that are not drawn

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            on_bytes(int(n or 0))

    return Watch


def _cause(error: BaseException) -> BaseException:
    """What a request failed of: the client library hides it behind a file that is not in the cache."""
    return error.__cause__ if isinstance(error, LocalEntryNotFoundError) and error.__cause__ else error


def _may_pass(error: BaseException) -> bool:
    cause = _cause(error)
    if isinstance(cause, HfHubHTTPError):
        return retry.status_may_pass(cause.response.status_code)
    return isinstance(cause, httpx2.TransportError) or _is_short(cause)


def _is_short(error: BaseException) -> bool:
    """Whether a body was shorter than announced, which has no class of its own in the client library."""
    return isinstance(error, OSError) and "Consistency check failed" in str(error)


def _pause(state: RetryCallState) -> float:
    raised = state.outcome.exception() if state.outcome else None
    error = _cause(raised) if raised else None
    asked = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return retry.pause(state, asked)


@contextmanager
def _told(repo: Repository, what: str, hub: Hub) -> Iterator[None]:
    """What the client library raises, as an error of ours; its own words on requests stay here, so no token does."""
    at, endpoint = f"{repo.name}: {what}", hub.shown
    try:
        yield
    except HFValidationError as error:
        raise UsageError(f"{repo.name}: {error}") from None
    except UnicodeEncodeError:
        raise SourceError(f"{at}: the token of HF_TOKEN or `hf auth login` has a letter that no token has") from None
    except (ValueError, TypeError, KeyError) as error:
        raise SourceError(f"{at}: {endpoint} does not answer as a Hub does ({type(error).__name__})") from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        cause = _cause(error)
        if isinstance(cause, LocalEntryNotFoundError | OfflineModeIsEnabled):
            missing = "not in the cache, and HF_HUB_OFFLINE is set; `zoo fetch` gets it online"
            raise SourceError(f"{at}: {missing}") from None
        raise _http(at, cause, endpoint) from None
    except (HfHubHTTPError, httpx2.HTTPError) as error:
        for kind, message in _REFUSALS:
            if isinstance(error, kind):
                raise SourceError(message.format(name=repo.name, kind=repo.kind, what=what, at=endpoint)) from None
        raise _http(at, error, endpoint) from None
    except OSError as error:
        raise _unwritten(at, error, hub.cache) from None


_REFUSALS: tuple[tuple[type[Exception], str], ...] = (
    (
        GatedRepoError,
        "{name} is gated: ask for access at {at}/{name}, and give a token by HF_TOKEN or `hf auth login`",
    ),
    (
        RepositoryNotFoundError,
        "{name}: {at} has no such {kind} repository, or it is private and HF_TOKEN does not open it",
    ),
    (
        RevisionNotFoundError,
        "{name}: {at} has no {what}; a mirror, or another Hub, needs a lock of its own: --lock FILE",
    ),
    (EntryNotFoundError, "{name} has no file {what} at that commit"),
)
"""The first that fits counts: some of these errors are kinds of others."""


def _http(at: str, error: BaseException, endpoint: str) -> Exception:
    if _may_pass(error):
        return _GaveUpError(_said(error), answered=isinstance(error, HfHubHTTPError))
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if status == 401:
        return SourceError(f"{at}: {endpoint} refuses the token of HF_TOKEN or `hf auth login` (401)")
    return SourceError(f"{at}: {_said(error)}")


def _said(error: BaseException) -> str:
    if isinstance(error, HfHubHTTPError):
        return f"status {error.response.status_code}"
    return f"{type(error).__name__}: {first_line(error)}"


def _unwritten(at: str, error: OSError, cache: Path) -> Exception:
    if _is_short(error):
        return _GaveUpError("the file is shorter than announced", answered=True)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return SourceError(f"{at}: {'the disk is full' if full else error.strerror or error}: {cache}")
