"""A process that runs `zoo verify`. It imports nothing else before it starts."""

import os
import resource
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.speed.arena import peak_memory
from zoo.cli import main


def verify(connection: Connection, entries: Path, count: int, jobs: int, records: str) -> None:
    """Run `zoo verify` over the first `count` recipes of a folder, and send the peak memory and the exit code."""
    os.environ["ZOO_HOME"] = records
    silence = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    os.dup2(silence.fileno(), sys.stdout.fileno())
    os.dup2(silence.fileno(), sys.stderr.fileno())
    paths = [str(path) for path in sorted(entries.glob("*.yaml"))[:count]]
    sys.argv = ["zoo", "verify", *paths, "--records", records, "--jobs", str(jobs)]
    code: Any = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 * jobs if jobs > 1 else 0
    connection.send((peak_memory() + children, code))
