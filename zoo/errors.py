"""Everything that can go wrong for a user, as one tree; each error is printed as plain lines, never as a traceback.

    ZooError
    ├── UsageError       2  a wrong argument, an unknown entry, weights that do not fit the model
    │   └── RecipeError  2  one or more problems of a recipe, each with its line
    ├── SourceError      4  something could not be had: a missing file, a failed download, a missing device
    │   ├── MissingError 4  a repository does not have what is wanted of it
    │   └── NoDataError  4  a data set that everyone must get for themselves is not there; 3 where it was not asked for
    └── IntegrityError   5  bytes that are not the locked ones

The exit codes 1 (not reproduced), 3 (inconclusive, not compared, not run) and 130 (interrupted) are outcomes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any


class ZooError(Exception):
    """Base of all; `exit_code` is what the command line ends with."""

    exit_code = 2

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied as it is: what it was made from may be other than its `args`."""
        return _copied, (type(self), self.args, self.__dict__)


def _copied(kind: type[ZooError], args: tuple[Any, ...], state: dict[str, Any]) -> ZooError:
    error = kind.__new__(kind, *args)
    error.__dict__ |= state
    return error


class UsageError(ZooError):
    """The command was given something it cannot use."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A place in a file; line and column count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe, and where."""

    mark: Mark
    message: str

    def __str__(self) -> str:
        return f"{self.mark}: {self.message}"


class RecipeError(UsageError):
    """All problems of one recipe, in the order of their lines."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.mark.line, problem.mark.column))
        super().__init__("\n".join(map(str, self.problems)))

    @classmethod
    def at(cls, mark: Mark, message: str) -> "RecipeError":
        """A recipe's one problem."""
        return cls([Problem(mark, message)])


class SourceError(ZooError):
    """Weights, data or a device could not be had."""

    exit_code = 4


class MissingError(SourceError):
    """A repository, which could be read, does not have what is wanted of it."""


class NoDataError(SourceError):
    """A data set that is gated, or huge, and so a local folder, is not there."""

    def __init__(self, name: str, lacks: str = "") -> None:
        where = f"--data {name}=DIR says where it is, or ZOO_DATA the folder that holds a folder {name!r}"
        where += f" (it is {os.environ['ZOO_DATA']})" if os.environ.get("ZOO_DATA") else ""
        super().__init__(f"the data set {name!r} is not here{lacks}; {where}")


class IntegrityError(ZooError):
    """Bytes differ from the locked ones."""

    exit_code = 5


class Terminated(KeyboardInterrupt):
    """SIGTERM asked the process to end; a training has saved its checkpoint. The command line exits with 143."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line: the first that is not blank."""
    return next(filter(None, str(error).splitlines()), "")


def did_you_mean(word: str, known: list[str]) -> str:
    """`; did you mean a, b?`, or the whole list where it is short, or nothing."""
    near = get_close_matches(word, known, n=3, cutoff=0.6)
    if near:
        return f"; did you mean {', '.join(near)}?"
    return f"; known: {', '.join(sorted(known))}" if 0 < len(known) <= 12 else ""


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Whatever a library raises of what it cannot use, as an error of ours; `name` is what was being done.

    With ZOO_DEBUG the traceback is shown instead.
    """
    try:
        yield
    except ZooError:
        raise
    except Exception as error:
        if os.environ.get("ZOO_DEBUG"):
            raise
        if isinstance(error, OSError):
            raise SourceError(f"{name}: {error.filename or 'a file'}: {error.strerror or error}") from error
        said = f"{type(error).__name__}: {first_line(error)}"
        raise UsageError(f"{name}: {said} (ZOO_DEBUG=1 shows where)") from error
