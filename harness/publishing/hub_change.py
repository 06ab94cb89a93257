"""Requests that change the Hub: a new repository, an upload, a pull request. Each is sent once."""

import warnings
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub import get_token

from zoo.errors import SourceError, UsageError
from zoo.fetch.card_files import CARD
from zoo.fetch.hub import Hub
from zoo.fetch.source_types import HubRepo
from zoo.safe_text import one_line

T = TypeVar("T")


def check_token(what: str) -> None:
    """Raise UsageError if the user has no token; `what` needs one."""
    if not get_token():
        raise UsageError(f"{what} needs a token that may write to the Hub: set HF_TOKEN, or run: hf auth login")


def change_hub(hub: Hub, repo: HubRepo, what: str, call: Callable[[], T], *, deadline: float | None = None) -> T:
    """Send a request that changes something. It is not repeated, since it may have been carried out.

    Args:
        hub: A connection to the same Hub, which knows whether it has answered before.
        repo: The repository.
        what: The request, for messages.
        call: Sends the request by the client library.
        deadline: The most seconds without an answer; those of any request if it is None.

    Raises:
        UsageError: The Hub refuses the metadata of the card.
        SourceError: The Hub refuses, or cannot be reached.
    """
    once = Hub(deadline=deadline)
    once.servers, once.only_errors = hub.servers, True

    def send(_: object) -> T:
        answer = _answer(call)
        if isinstance(answer, _Wrapped):
            raise answer.error
        return answer

    return once.request(repo, what, send)


class _Wrapped:
    """An error that the client library wraps in another one. It is raised outside of the wrapping one's handler."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _answer(call: Callable[[], T]) -> T | _Wrapped:
    """Call the client library, and return its answer, or the error of a large file or of the card, which it wraps."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "It seems that you are about to commit a data file")
            return call()
    except RuntimeError as error:
        return _Wrapped(error.__cause__ or SourceError(str(error)))
    except ValueError as error:
        if "metadata" in str(error):  # of the README.md, which the Hub checks
            return _Wrapped(UsageError(f"{CARD}: the Hub refuses its metadata: {one_line(error)}"))
        raise
