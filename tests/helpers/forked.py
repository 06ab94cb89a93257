"""Commands in processes of their own, forked from one that has imported everything: fresh ones, without that time."""

import atexit
import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from zoo.cli import app

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload([
    "pytest", "pydantic", "typer._adapters", "torch._dynamo", "harness.losses", "harness.runs.score_file",
    "harness.runs.reproduce",
    "harness.schedules", "zoo.cli.app", "zoo.models", "zoo.cli.progress", "zoo.tasks",
])  # fmt: skip


def zoo(*arguments: str) -> int:
    """How `zoo` with these arguments ends in this process."""
    sys.argv = ["zoo", *arguments]
    try:
        app.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _child(
    folder: str, environment: dict[str, str], files: tuple[str, str], run: Callable[..., int], arguments: tuple[object]
) -> None:
    gc.freeze()  # what the server imported need not be searched for garbage
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for stream, file in zip((1, 2), files, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    code = run(*arguments)
    atexit._run_exitfuncs()  # multiprocessing runs none
    sys.stdout.flush()
    sys.exit(code)


def start(
    folder: Path, environment: Mapping[str, str], files: tuple[Path, Path], run: Callable[..., int], *arguments: object
) -> ForkServerProcess:
    """A process that runs the function in the folder, what it prints appended to the files; its exit code is returned.

    The environment is this process's with what is given in addition.
    """
    known = {**os.environ, **environment}
    process = FORK.Process(target=_child, args=(str(folder), known, tuple(map(str, files)), run, arguments))
    process.start()
    return process
