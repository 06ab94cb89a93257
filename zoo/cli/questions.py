"""Ask a question on the terminal until its answer passes a check."""

import shutil
import sys
from collections.abc import Callable
from typing import TypeVar

from zoo.cli.progress import report_error
from zoo.error_translation import translate_errors
from zoo.errors import InternalError, UsageError, ZooError
from zoo.text_tables import wrapped

Value = TypeVar("Value")
ROOM_FOR_ANSWER = 4
"""The characters that a question leaves free at the end of a line."""
NARROWEST = 24
"""Lines are not wrapped to fewer characters."""


def answer(given: str | None, question: str, option: str, check: Callable[[str], Value], default: str = "") -> Value:
    """Return what `check` makes of an answer: of an option, or of lines on the terminal until one passes.

    Args:
        given: The value of the option; None to ask.
        question: The question.
        option: The option that answers it too.
        check: Returns the value of an answer, or raises ZooError with what is wrong with it.
        default: The answer of an empty line.

    Raises:
        UsageError: Nobody can answer.
        ZooError: The value of the option does not pass the check.
    """
    if given is not None:
        return check(given)
    if sys.stdin is None or not sys.stdin.isatty():  # None for a process that was started with it closed
        raise UsageError(f"nobody can answer a question here; pass {option}")
    while True:
        if not (text := _read(question, option) or default):
            continue
        try:
            with translate_errors(text):
                return check(text)
        except InternalError:
            raise
        except ZooError as error:
            reason = str(error).removeprefix(f"{option} ")
            report_error(_fitted("\n".join(f"    {line}" for line in reason.splitlines()), _width()))


def _read(question: str, option: str) -> str:
    """Return a line from the terminal. The line of the question ends before an error or the end of the command."""
    print(_fitted(question, _width() - ROOM_FOR_ANSWER), end=": ", file=sys.stderr, flush=True)
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise
    if not line:
        print(file=sys.stderr)
        raise UsageError(f"there was no answer; pass {option}")
    return line.strip()


def _width() -> int:
    return max(NARROWEST, shutil.get_terminal_size().columns)


def _fitted(text: str, width: int) -> str:
    """Return lines that fit a width, with the indentation of each."""
    return "\n".join(wrapped(line.strip(), width, " " * (len(line) - len(line.lstrip()))) for line in text.splitlines())
