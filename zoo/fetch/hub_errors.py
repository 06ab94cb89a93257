"""Errors of the Hub's client library: which can be temporary, and how each is reported to the user."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
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
from tenacity import RetryCallState

from zoo.errors import GatedError, NoRepositoryError, SourceError, UnreachableError, UsageError, first_line
from zoo.fetch import retry
from zoo.fetch.source_types import HubRepo

TOKEN = "HF_TOKEN or `hf auth login`"  # noqa: S105
NAME, REVISION = "name", "revision"
"""What is asked of a whole repository: a 404 without a code of the Hub, as mirrors send it, says that there is none."""
_NO_REPOSITORY = "{name}: {at} has no such {kind} repository, or it is private and HF_TOKEN does not give access"
_REFUSALS: tuple[tuple[type[Exception], type[SourceError], str], ...] = (
    (GatedRepoError, GatedError, f"{{name}} is gated: ask for access at {{at}}/{{name}}, and set a token with {TOKEN}"),
    (RepositoryNotFoundError, NoRepositoryError, _NO_REPOSITORY),
    (
        RevisionNotFoundError,
        SourceError,
        "{name}: {at} has no {what}; for a mirror or another Hub use another lock, with --lock FILE (it may be new)",
    ),
    (EntryNotFoundError, SourceError, "{name} has no file {what} at that commit"),
)
"""The first match counts: some of these classes are subclasses of others."""


_ERRNO = re.compile(r"\[Errno (-?\d+)\]")
_ANSWERED = (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNABORTED)
"""Errors of a connection that there was, or that may still come about."""


class GaveUpError(Exception):
    """An error that could be temporary lasted until the deadline."""

    def __init__(self, message: str, *, answered: bool) -> None:
        """Create the error; `answered` is whether the Hub answered anything at all."""
        super().__init__(message)
        self.answered = answered


def may_pass(error: BaseException) -> bool:
    """Return whether an error can be temporary."""
    cause = _cause(error)
    if isinstance(cause, HfHubHTTPError):
        return retry.is_temporary(cause.response.status_code)
    return isinstance(cause, httpx2.TransportError) or _is_short_body(cause)


def is_not_connected(error: BaseException | str | None) -> bool:
    """Return whether no connection was made: the server refuses it, its name is unknown, or there is no network.

    Args:
        error: The error, or its text as the client library warns of it.
    """
    found = _ERRNO.search(error if isinstance(error, str) else str(_cause(error)) if error is not None else "")
    return found is not None and int(found[1]) not in _ANSWERED


def retry_after(state: RetryCallState) -> str:
    """Return the `Retry-After` header of the last answer, or an empty text."""
    error = state.outcome.exception() if state.outcome else None
    cause = _cause(error) if error else None
    return str(cause.response.headers.get("Retry-After", "")) if isinstance(cause, HfHubHTTPError) else ""


@contextmanager
def translate_hub_errors(
    repo: HubRepo, what: str, address: str, cache: Path, selection: str = "ENTRY"
) -> Iterator[None]:
    """Turn errors of the client library into errors of zoo.

    The messages never quote the library's text about a request, which could hold a token.

    Args:
        repo: The repository that is read.
        what: What is read of it.
        address: The Hub without a password.
        cache: The folder of the library's cache.
        selection: The arguments of `zoo fetch` that fetch what is missing, for messages.

    Raises:
        UsageError: The name of the repository is invalid.
        UnreachableError: The file is not in the cache, and HF_HUB_OFFLINE is set.
        SourceError: Anything else that no retry can help.
        GaveUpError: An error that could be temporary.
    """
    where = f"{repo.name}: {what}"
    try:
        yield
    except HFValidationError as error:
        raise UsageError(f"{repo.name}: {error}") from None
    except UnicodeEncodeError:
        raise SourceError(f"{where}: the token of {TOKEN} has a character that no token can have") from None
    except (ValueError, TypeError, KeyError) as error:
        raise SourceError(f"{where}: {address} does not answer as a Hub does ({type(error).__name__})") from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        cause = _cause(error)
        if isinstance(cause, LocalEntryNotFoundError | OfflineModeIsEnabled):
            missing = offline_advice("in the cache", selection)
            raise UnreachableError(f"{where}: {missing}") from None
        raise _request_error(where, cause, address) from None
    except (HfHubHTTPError, httpx2.HTTPError) as error:
        raise _refusal(error, repo, what, address) or _request_error(where, error, address) from None
    except OSError as error:
        raise write_error(where, error, cache) from None


def offline_advice(where: str, selection: str) -> str:
    """Return what to do if a file is not here and HF_HUB_OFFLINE forbids to download it.

    Args:
        where: Where the file was looked up.
        selection: The arguments of `zoo fetch` that fetch it.
    """
    return f"not {where}, and HF_HUB_OFFLINE is set; run `zoo fetch {selection}` once without HF_HUB_OFFLINE"


def write_error(where: str, error: OSError, cache: Path) -> Exception:
    """Return the error to raise if a file cannot be written into the cache."""
    if _is_short_body(error):
        return GaveUpError("the file is shorter than announced", answered=True)
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return SourceError(f"{where}: {'the disk is full' if is_full else error.strerror or error}: {cache}")


def _refusal(error: BaseException, repo: HubRepo, what: str, address: str) -> SourceError | None:
    """Return the error to raise if the Hub says why it refuses a request; None for any other answer."""
    for kind, raised, message in _REFUSALS:
        if isinstance(error, kind):
            return raised(message.format(name=repo.name, kind=repo.kind, what=what, at=address))
    if _status(error) == 404 and what.startswith((NAME, REVISION)):
        return NoRepositoryError(_NO_REPOSITORY.format(name=repo.name, kind=repo.kind, at=address))
    return None


def _request_error(where: str, error: BaseException, address: str) -> Exception:
    status = _status(error)
    description = f"{type(error).__name__}: {first_line(error)}" if status is None else f"status {status}"
    if may_pass(error):
        return GaveUpError(description, answered=status is not None)
    if status == 401:
        return SourceError(f"{where}: {address} refuses the token of {TOKEN} (401)")
    return SourceError(f"{where}: {address} answers with {description}" if status else f"{where}: {description}")


def _status(error: BaseException) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _cause(error: BaseException) -> BaseException:
    """Return the failure of a request, which the client library hides behind a file that is not in the cache."""
    return error.__cause__ if isinstance(error, LocalEntryNotFoundError) and error.__cause__ else error


def _is_short_body(error: BaseException) -> bool:
    """Return whether a body was shorter than announced; the client library has no class for this error."""
    return isinstance(error, OSError) and "Consistency check failed" in str(error)
