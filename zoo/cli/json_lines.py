"""Events of a long command as JSON lines on stdout: its progress, then its result. See docs/configuration.md."""

import io
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from zoo.cli.exit_codes import INTERRUPTED, TERMINATED
from zoo.errors import Terminated, ZooError

EVENTS = logging.getLogger("zoo-events")
"""Its handler prints events. Without --json-lines it has none, and is not enabled."""


def has_listener() -> bool:
    """Return whether events are printed."""
    return EVENTS.isEnabledFor(logging.INFO)


def send(event: Mapping[str, Any]) -> None:
    """Print an event if somebody listens."""
    EVENTS.info("event", extra={"event": event})


@contextmanager
def json_lines(*, wanted: bool = True) -> Iterator[None]:
    """Print events in the block, and at its end the JSON that was printed in it as the last event.

    Without a result the last event is the error.
    """
    if not wanted:
        yield
        return
    handler, result = _EventHandler(sys.stdout), io.StringIO()
    EVENTS.addHandler(handler)
    EVENTS.setLevel(logging.INFO)
    try:
        with redirect_stdout(result):
            yield
    except ZooError as error:
        send({"event": "error", "message": str(error), "exit_code": error.exit_code})
        raise
    except KeyboardInterrupt as error:
        code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        send({"event": "error", "message": "interrupted", "exit_code": code})
        raise
    finally:
        if text := result.getvalue():
            send({"event": "result", **json.loads(text)})
        EVENTS.setLevel(logging.NOTSET)
        EVENTS.removeHandler(handler)


class _EventHandler(logging.Handler):
    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        line = json.dumps(record.event, allow_nan=False)  # type: ignore[attr-defined]
        print(line.replace("##[", "#\\u0023["), file=self.stream, flush=True)  # no workflow command of GitHub
