"""Run commands in processes forked from one that has imported everything, which saves seconds of imports.

That is the process of the tests. It is a server that has done nothing else if it may have used a CUDA device, which a
fork of it could not use, or if a test asks for a clean process.
"""

import atexit
import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.helpers.device import device
from zoo import cli

IMPORTED = [
    "pytest", "pydantic", "typer._adapters", "torch._dynamo", "harness.losses", "harness.runs.score_file",
    "harness.runs.reproduce", "harness.schedules", "zoo.api.results", "zoo.cli", "zoo.models", "zoo.tasks",
]  # fmt: skip
"""The modules that a training imports."""
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(IMPORTED)


def zoo(*arguments: str) -> int:
    """Run `zoo` with these arguments in this process and return its exit code."""
    sys.argv = ["zoo", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def start(
    folder: Path,
    environment: Mapping[str, str],
    files: tuple[Path, Path],
    run: Callable[..., int],
    *arguments: object,
    clean: bool = False,
) -> BaseProcess:
    """Start a process that calls a function and exits with what it returns.

    Args:
        folder: The working directory.
        environment: Variables added to this process's environment.
        files: The files to append stdout and stderr to.
        run: The function.
        *arguments: Its arguments.
        clean: Whether to fork a process that has only imported what a training imports.
    """
    variables = {**os.environ, **environment}
    of_tests = device() == "cpu" and not clean
    context: Any = multiprocessing.get_context("fork") if of_tests else SERVER
    for module in IMPORTED if of_tests else ():
        import_module(module)
    child = (of_tests, str(folder), variables, tuple(map(str, files)), run, arguments)
    process: BaseProcess = context.Process(target=_child, args=child)
    process.start()
    return process


def _child(
    of_tests: bool,
    folder: str,
    environment: dict[str, str],
    files: tuple[str, str],
    run: Callable[..., int],
    arguments: tuple[object],
) -> None:
    gc.freeze()  # the imported modules need not be searched for garbage
    if of_tests:
        atexit._clear()  # what the process of the tests does at its end
        sys.modules.pop("mine", None)  # imported by another test
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
