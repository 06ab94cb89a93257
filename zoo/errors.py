"""The errors that zoo reports to a user: one tree of exceptions, each with the exit code of the command line.

    ZooError
    ├── UsageError         2  a wrong argument, an unknown entry, weights that do not fit the model
    │   ├── OutputsError   2  a model with another number of outputs than its task needs
    │   └── RecipeError    2  one or more problems in a recipe, each with its line
    ├── SourceError        4  something is not available: a missing file, a failed download, a missing device
    │   ├── MissingError   4  a repository lacks a file
    │   ├── GatedError     4  a repository needs a consent that the user has not given
    │   ├── NoRepositoryError 4  a repository does not exist, or is private
    │   ├── NoFileError    4  a local file that a recipe names does not exist
    │   ├── UnreachableError 4  a server does not answer, or HF_HUB_OFFLINE forbids requests
    │   │   └── NotCachedError 4  the cache folder that everything is read from lacks a file
    │   └── NoDataError    4  a data set that every user must get for themselves (3 if the user did not name its entry)
    ├── NotComparableError 3  claims that nothing on this machine can be compared with
    ├── IntegrityError     5  bytes differ from the pinned ones
    ├── TimeLimitError    75  the time of --time-limit is nearly over; the same command goes on
    └── InternalError     70  a bug in zoo

The exit codes 1 (not reproduced), 130 (Ctrl-C) and 143 (SIGTERM) are outcomes, not errors, and so is 3 (inconclusive,
not compared or not run) of a recipe that was run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Self

from zoo.safe_text import one_line


class ZooError(Exception):
    """Base class of all errors that zoo raises on purpose. The message is plain text, ready to be printed.

    Attributes:
        exit_code: The exit code of the command line.
        argument: The argument of a call in a recipe that the error is about, if it is known.
        mark: The position in a recipe that the error is about, if it is known. The message starts with it.
    """

    exit_code = 2
    argument: str | None = None
    mark: "Mark | None" = None

    def __str__(self) -> str:
        """Return the message on one line, safe to print."""
        message = one_line(super().__str__())
        return f"{self.mark}: {message}" if self.mark else message

    def about(self, argument: str | None) -> Self:
        """Return the error with the argument that it is about, unless it has one."""
        self.argument = self.argument or argument
        return self

    def with_mark(self, mark: "Mark | None") -> Self:
        """Return the error with its position in a recipe, unless it has one."""
        self.mark = self.mark or mark
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the attributes, because `args` need not be the arguments of the constructor."""
        return _unpickle, (type(self), self.args, self.__dict__)


def _unpickle(kind: type[ZooError], args: tuple[Any, ...], attributes: dict[str, Any]) -> ZooError:
    error = kind.__new__(kind, *args)
    error.__dict__ |= attributes
    return error


class UsageError(ZooError):
    """An argument, an option or a file cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A position in a file. Lines and columns count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One problem in a recipe, with its position."""

    mark: Mark
    message: str
    loses_content: bool = True
    """Whether something that the author wrote cannot be used, such as a claim of a model card."""

    def __str__(self) -> str:
        return one_line(f"{self.mark}: {self.message}")


class RecipeError(UsageError):
    """All problems of one recipe, sorted by line.

    Attributes:
        problems: The problems, each with its position.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.mark.line, problem.mark.column))
        super().__init__("\n".join(map(str, self.problems)))

    def __str__(self) -> str:
        """Return one line for each problem."""
        return "\n".join(map(str, self.problems))

    @classmethod
    def at(cls, mark: Mark, message: str) -> "RecipeError":
        """Return the error of a recipe with a single problem."""
        return cls([Problem(mark, message)])


class OutputsError(UsageError):
    """A model does not have the number of outputs that a task needs."""


class SourceError(ZooError):
    """Weights, data, a file or a device are not available."""

    exit_code = 4


class NotComparableError(ZooError):
    """Claims cannot be compared with anything on this machine, so nothing is run."""

    exit_code = 3


class MissingError(SourceError):
    """A repository is readable but lacks a file."""


class GatedError(SourceError):
    """A repository needs a consent that the user has not given, or a token."""


class NoRepositoryError(SourceError):
    """A repository does not exist, or is private."""


class NoFileError(SourceError):
    """A local file that a recipe names does not exist.

    Attributes:
        source: The source as the recipe writes it.
    """

    def __init__(self, source: str, message: str) -> None:
        self.source = source
        super().__init__(f"{source}: {message}")


class UnreachableError(SourceError):
    """A file has to be downloaded, but its server does not answer, or HF_HUB_OFFLINE forbids requests.

    Attributes:
        server: The address of the server that does not answer; None if no request was allowed.
        reason: Why it does not answer.
    """

    def __init__(self, message: str, *, server: str | None = None, reason: str = "") -> None:
        self.server, self.reason = server, reason
        super().__init__(message)


class NotCachedError(UnreachableError):
    """The cache folder that everything is read from lacks a file."""


class NoDataError(SourceError):
    """A data set that every user must get for themselves, because it is gated or huge, has no local folder."""

    def __init__(self, name: str, lacks: str = "") -> None:
        hint = f"pass --data {name}=DIR, or set ZOO_DATA to a folder that contains a folder {name!r}"
        hint += f" (ZOO_DATA is {os.environ['ZOO_DATA']})" if os.environ.get("ZOO_DATA") else ""
        super().__init__(f"the data set {name!r} is not here{lacks}; {hint}")


class IntegrityError(ZooError):
    """Bytes differ from the pinned ones."""

    exit_code = 5


class TimeLimitError(ZooError):
    """A command ended before its time limit. The same command goes on where it stopped."""

    exit_code = 75


class InternalError(ZooError):
    """A bug in zoo. The message names the file with the traceback and where to report it."""

    exit_code = 70


class Terminated(KeyboardInterrupt):
    """SIGTERM ends the process, after a training has saved its checkpoint. The command line exits with 143."""


class TimeIsUp(KeyboardInterrupt):
    """The time limit ends a command, after a training has saved its checkpoint. It becomes a TimeLimitError."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that is not blank."""
    return next(filter(None, str(error).splitlines()), "")


SIMILAR = "; did you mean"
"""How a hint begins that names similar words."""


def did_you_mean(word: str, known: list[str]) -> str:
    """Return a hint for a misspelled word.

    Returns:
        `; did you mean a, b?`, or `; known: a, b` if nothing is similar and the list is short, or an empty string.
    """
    similar = get_close_matches(word, known, n=3, cutoff=0.6)
    if similar:
        return f"{SIMILAR} {', '.join(similar)}?"
    return f"; known: {', '.join(sorted(known))}" if 0 < len(known) <= 12 else ""


@contextmanager
def errors_about(argument: str) -> Iterator[None]:
    """Add to errors in the block the argument of a call in a recipe that they are about."""
    try:
        yield
    except ZooError as error:
        error.about(argument)
        raise
