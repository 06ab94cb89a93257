"""How much a command prints besides its result: with --quiet only errors, with --verbose also requests and choices.

Modules log details with `logging`, by `logging.getLogger(__name__).info`. Only --verbose shows them.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from zoo.errors import UsageError
from zoo.safe_text import printable

NOTES = logging.getLogger("zoo")
"""Its level says whether notes are printed."""
DETAILS = {
    "zoo": logging.INFO, "harness": logging.INFO, "httpx2": logging.INFO, "urllib3.connectionpool": logging.DEBUG,
}  # fmt: skip
"""The loggers whose messages --verbose shows, and from which level on. The last two log requests."""
CONNECTION = "Starting new "
"""How a message begins that a request follows."""


def is_quiet() -> bool:
    """Return whether only results and errors are printed."""
    return not NOTES.isEnabledFor(logging.WARNING)


@contextmanager
def verbosity(*, verbose: bool, quiet: bool) -> Iterator[None]:
    """Print more or less in the block. Raise UsageError if both are chosen."""
    if verbose and quiet:
        raise UsageError("--verbose and --quiet exclude each other")
    levels = dict.fromkeys([NOTES.name], logging.ERROR) if quiet else DETAILS if verbose else {}
    before = {name: logging.getLogger(name).level for name in levels}
    handler = _DetailHandler() if verbose else logging.NullHandler()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
            logging.getLogger(name).removeHandler(handler)


class _DetailHandler(logging.Handler):
    """Prints messages on stderr, without passwords and tokens: the addresses of downloads may be signed."""

    def emit(self, record: logging.LogRecord) -> None:
        from harness.models.private_text import without_secrets

        if not (message := record.getMessage()).startswith(CONNECTION):
            print(printable(without_secrets(message)), file=sys.stderr)
