"""Keep stdout and stderr from changing the exit code: a closed pipe is ignored, and any text can be printed."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class _PipeStream:
    """A text stream that discards text once the reader, such as `head`, has closed the pipe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._discard()

    def _discard(self) -> None:
        """Redirect the file descriptor, so that Python's own flush at exit succeeds too."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def safe_streams() -> Iterator[None]:
    """Protect stdout and stderr in the block, and flush them at its end.

    Characters that the encoding lacks are printed as escapes such as `\\u2026`. A stream that was closed before the
    process started is replaced by the null device. In processes of torchrun other than the first, stdout is, too.
    """
    before = sys.stdout, sys.stderr
    sys.stdout = _safe(None if int(os.environ.get("RANK", "0")) else sys.stdout)
    sys.stderr = _safe(sys.stderr)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        sys.stdout, sys.stderr = before


def _safe(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return cast(TextIO, _PipeStream(stream))
