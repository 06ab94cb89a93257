"""Requests to the Hub with retries, under a deadline.

The client library does not retry everything (a 503 for a file, a closed connection, a short body), and some of its own
retries can last for hours. Here no request waits longer than the deadline without a new byte.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import constants
from huggingface_hub.utils.tqdm import tqdm
from tenacity import RetryCallState, Retrying, retry_if_exception

from zoo.errors import SourceError, UnreachableError
from zoo.fetch import limits, retry
from zoo.fetch.certificates import certificate_file
from zoo.fetch.hub_errors import GaveUpError, is_not_connected, may_pass, retry_after, translate_hub_errors
from zoo.fetch.servers import Servers
from zoo.fetch.source_types import HubRepo
from zoo.progress import Report, ignore_message

T = TypeVar("T")
OnBytes = Callable[[int], None]
REPORT_AFTER = 3.0
"""Seconds after which a message reports that a request is being retried."""
constants.DOWNLOAD_CHUNK_SIZE = (
    1 << 16
)  # progress is counted in chunks, and the default of 10 MB can outlast a deadline


class HubConnection:
    """The endpoint, its cache, and which servers have answered so far."""

    def __init__(self, *, deadline: float | None = None, on_bytes: OnBytes = lambda length: None) -> None:
        """Connect to HF_ENDPOINT.

        Args:
            deadline: Seconds without a new byte before a request is abandoned; ZOO_DEADLINE if it is None.
            on_bytes: Called with the length of every new part that is downloaded.
        """
        self.deadline = limits.deadline() if deadline is None else deadline
        self.on_bytes = on_bytes
        self.endpoint: str = constants.ENDPOINT
        self.cache = Path(constants.HF_HUB_CACHE)
        self.report: Report = ignore_message
        """Prints a message for the user."""
        self.selection = "ENTRY"
        """The arguments of `zoo fetch` that fetch what is read, for messages."""
        self.servers = Servers()
        """The servers that have answered, and those that have not; others of the same command share it."""
        self.refusal: str | None = None
        """Why no request may be sent; None if requests may be sent."""
        self.only_errors = False
        """Whether the last request failed with errors until the deadline; then no request is retried."""
        self._reported_waiting = False

    @property
    def address(self) -> str:
        """The endpoint without a password, for messages and for the file of trusted pins."""
        return re.sub(r"//[^/@]*@", "//", self.endpoint)

    @property
    def unreachable(self) -> str | None:
        """The reason to send no more requests; None while there is none."""
        return self.refusal or self.servers.problem(self.address)

    @property
    def offline(self) -> bool:
        """Whether HF_HUB_OFFLINE forbids requests."""
        return bool(constants.is_offline_mode())

    def request(self, repo: HubRepo, what: str, call: Callable[[OnBytes], T]) -> T:
        """Call the client library, again and again while its errors can be temporary.

        Args:
            repo: The repository, for messages.
            what: What is requested, for messages.
            call: Sends the request. It is passed a function to call with the length of every new part.

        Raises:
            UnreachableError: The Hub did not answer until the deadline, or not even a connection could be made.
            SourceError: The Hub refuses, or could not serve it until the deadline.
        """
        if (reason := self.unreachable) is not None:
            raise UnreachableError(f"{repo.name}: {what}: {reason}", server=self.address, reason=reason)
        certificate_file()
        progress = _Progress(self, f"{repo.name}: {what}")
        retrying = Retrying(
            retry=retry_if_exception(may_pass),
            wait=lambda state: retry.pause(state, retry_after(state)),
            stop=lambda state: self.only_errors or state.upcoming_sleep >= progress.time_left(_error_of(state)),
            before_sleep=lambda state: self._report_waiting(progress.started, _error_of(state)),
            reraise=True,
        )
        try:
            with translate_hub_errors(repo, what, self.address, self.cache, self.selection):
                result = retrying(lambda: _call_in_thread(lambda: call(progress.on_bytes), progress.time_left))
        except GaveUpError as error:
            raise self._not_served(error, progress) from None
        self.only_errors = False
        self.servers.answered.add(self.address)
        return result

    def _not_served(self, error: GaveUpError, progress: "_Progress") -> SourceError:
        """Return the error of a request that was given up, and remember a Hub that did not answer."""
        tried = f"{time.monotonic() - progress.started:.1f} s: {error}"
        if error.answered or progress.received:
            self.only_errors = True
            self.servers.answered.add(self.address)
            return SourceError(f"{progress.what}: {self.address} did not serve it in {tried}")
        reason = self.servers.give_up(self.address, f"{self.address} did not answer in {tried}")
        return UnreachableError(f"{progress.what}: {reason}", server=self.address, reason=reason)

    def limit_after(self, error: BaseException | str | None) -> float:
        """Return the deadline of a request whose last try ended with this error."""
        gives_up_soon = self.address not in self.servers.answered and is_not_connected(error)
        return limits.connect_deadline(self.deadline) if gives_up_soon else self.deadline

    def _report_waiting(self, started: float, error: BaseException | None) -> None:
        if not self._reported_waiting and time.monotonic() - started > REPORT_AFTER:
            self._reported_waiting = True
            self.report(f"{self.address} does not answer; retrying until {self.limit_after(error):g} s have passed")


class _Progress:
    """Counts the bytes of a request, over all of its tries."""

    def __init__(self, connection: HubConnection, what: str) -> None:
        self.connection, self.what = connection, what
        self.started = self.last_byte = time.monotonic()
        self.received = 0

    def on_bytes(self, length: int) -> None:
        """Count a new part."""
        self.last_byte = time.monotonic()
        self.received += length
        self.connection.servers.answered.add(self.connection.address)
        limits.check_length(self.received, self.what)
        self.connection.on_bytes(length)

    def time_left(self, error: BaseException | str | None) -> float:
        """Return the seconds until the request has to be given up, after a try that ended with this error."""
        if self.connection.unreachable is not None and not self.received:  # another thread has found that out
            return 0.0
        limit = self.connection.limit_after(error)
        return limits.time_left(self.started, self.last_byte, self.received, time.monotonic(), limit)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _call_in_thread(call: Callable[[], T], time_left: Callable[[str], float]) -> T:
    """Call in a new thread, and abandon that thread when no time is left: a request cannot be cancelled.

    Args:
        call: Sends the request.
        time_left: Returns the seconds that are left, given the client library's last warning about a retry.
    """
    future: Future[T] = Future()

    def run() -> None:
        _WARNINGS.last.pop(threading.get_ident(), None)  # left by an earlier thread with the same number
        try:
            future.set_result(call())
        except BaseException as error:  # raised again below, in the calling thread
            future.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while (seconds := time_left(_WARNINGS.last.get(thread.ident or 0, ""))) > 0 and not wait(
        [future], timeout=min(seconds, 1.0)
    ).done:
        pass
    if future.done():
        return future.result()
    reason = _WARNINGS.last.get(thread.ident or 0, "a request is still waiting")
    raise GaveUpError(reason, answered=reason.startswith("HTTP Error"))


class _RetryWarnings(logging.Handler):
    """Collect the client library's warnings about its retries, by thread; shown only if a request is abandoned."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[int, str] = {}
        for name in ("huggingface_hub.utils._http", "huggingface_hub.file_download"):
            logger = logging.getLogger(name)
            logger.addHandler(self)
            logger.setLevel(logging.WARNING)
            logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        message, thrown, _ = record.getMessage().partition(" thrown while ")  # the rest is a URL, perhaps a signed one
        if isinstance(record.args, tuple) and record.args:
            self.last[record.thread or 0] = str(record.args[-1])
        elif thrown:
            self.last[record.thread or 0] = message


_WARNINGS = _RetryWarnings()


def progress_class(on_bytes: OnBytes) -> type[tqdm]:
    """Return a progress bar for the client library that draws nothing and passes on the number of bytes."""

    class Progress(tqdm):
        monitor_interval = 0  # no thread that monitors bars which are never drawn

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            on_bytes(int(n or 0))

    return Progress
