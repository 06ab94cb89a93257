"""Run commands in processes forked from one that has imported everything, which saves seconds of imports."""

import atexit
import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from zoo import cli

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload([
    "pytest", "pydantic", "typer._adapters", "torch._dynamo", "harness.losses", "harness.runs.score_file",
    "harness.runs.reproduce", "harness.schedules", "zoo.api.results", "zoo.cli", "zoo.models", "zoo.tasks",
])  # fmt: skip


def zoo(*arguments: str) -> int:
    """Run `zoo` with these arguments in this process and return its exit code."""
    sys.argv = ["zoo", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def start(
    folder: Path, environment: Mapping[str, str], files: tuple[Path, Path], run: Callable[..., int], *arguments: object
) -> ForkServerProcess:
    """Start a process that calls a function and exits with what it returns.

    Args:
        folder: The working directory.
        environment: Variables added to this process's environment.
        files: The files to append stdout and stderr to.
        run: The function.
        *arguments: Its arguments.
    """
    variables = {**os.environ, **environment}
    process = FORK.Process(target=_child, args=(str(folder), variables, tuple(map(str, files)), run, arguments))
    process.start()
    return process


def _child(
    folder: str, environment: dict[str, str], files: tuple[str, str], run: Callable[..., int], arguments: tuple[object]
) -> None:
    gc.freeze()  # the imported modules need not be searched for garbage
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for stream, file in zip((1, 2), files, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    code = run(*arguments)
    atexit._run_exitfuncs()  # multiprocessing runs none of them
    sys.stdout.flush()
    sys.exit(code)
