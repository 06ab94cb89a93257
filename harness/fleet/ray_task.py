"""The code on the nodes of a Ray cluster. It imports the standard library only, so that a Ray worker stays small."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

END = b"end\n"
"""The line after the last number that `zoo run-unit --index -` reads."""
POLL = 0.1
"""Seconds between two looks at a process. Ray interrupts a task only between two Python statements."""


def make_unit(
    command: Sequence[str],
    index: int,
    folder: str,
    log: str,
    environment: Mapping[str, str],
    grace: float,
    end: float | None,
) -> int:
    """Make a unit of a plan in a new process, and return its exit code.

    The process reads the number of the unit from a pipe, so that it ends by itself, with a checkpoint saved, when the
    Ray worker or its node is killed.

    Args:
        command: The arguments of this Python: those that start `zoo run-unit PLAN --index -`.
        index: The number of the unit.
        folder: The working directory.
        log: The file for the stderr of the process; deleted if it stays empty.
        environment: Variables to add to the environment.
        grace: Seconds that the process has to save a checkpoint when the task is cancelled.
        end: When the time of the process ends, in seconds since 1970; None for no limit.

    Raises:
        OSError: The process cannot be started.
        KeyboardInterrupt: Ray cancelled the task; the process has ended.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    limit = [] if end is None else ["--time-limit", f"{max(end - time.time(), 1.0):.0f}"]
    with Path(log).open("ab") as errors:
        process = subprocess.Popen(  # noqa: S603 - a command of this project
            [sys.executable, *command, *limit], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            cwd=folder, env={**os.environ, **environment}, start_new_session=True,
        )  # fmt: skip
    try:
        _write(process, f"{index}\n".encode())
        code = _wait(process, index)
    finally:
        _stop(process, grace)
    with suppress(OSError):
        if not Path(log).stat().st_size:
            Path(log).unlink()
    return code


def look(probe: str, folder: str) -> dict[str, str]:
    """Return what a node sees: its host, the content of a file, an answer that it wrote beside it, or its error.

    Args:
        probe: A file that the command wrote.
        folder: The working directory of the plan.
    """
    seen = {"host": socket.gethostname(), "python": sys.version.split()[0]}
    try:
        answer = Path(f"{probe}.{uuid4().hex}")
        seen |= {"content": Path(probe).read_text(encoding="utf-8"), "answer": answer.name}
        answer.write_text(seen["content"], encoding="utf-8")
        next(Path(folder).iterdir(), None)
    except OSError as error:
        seen["error"] = f"{error.strerror or error}: {error.filename}"
    return seen


def _wait(process: "subprocess.Popen[bytes]", index: int) -> int:
    """Wait for the end of a process; once it has printed the number of its unit, which is finished, let it end."""
    assert process.stdout is not None
    output, printed = [process.stdout], b""
    while process.poll() is None:
        if not output:
            time.sleep(POLL)
        elif select.select(output, [], [], POLL)[0]:
            if data := os.read(process.stdout.fileno(), 4096):
                *lines, printed = (printed + data).split(b"\n")
                if str(index).encode() in lines:  # not what a library may print
                    _write(process, END)
            else:
                output = []
    return process.returncode


def _write(process: "subprocess.Popen[bytes]", data: bytes) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # the process has ended
        process.stdin.write(data)
        process.stdin.flush()


def _stop(process: "subprocess.Popen[bytes]", grace: float) -> None:
    """End a process and those that it started. Nothing happens if it has ended without leaving any."""
    end = time.monotonic() + grace
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    while process.poll() is None and time.monotonic() < end:
        with suppress(KeyboardInterrupt):  # of a second Ctrl-C
            time.sleep(POLL)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            pipe.close()  # type: ignore[union-attr]
