"""Run the parts of `make nightly`, and print a table of their times and results at the end."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tabulate import tabulate

PARTS: dict[str, tuple[list[str], dict[str, str]]] = {
    "slow tests": ([sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", "slow"], {}),
    "trackers": (
        [sys.executable, "-m", "pytest", "-q", "-m", "slow", "tests/harness/tracking"],
        {"ZOO_TRACKERS": str(Path(sys.prefix, "trackers"))},
    ),
    "fuzzing": (
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", "hypothesis and not slow"],
        {"HYPOTHESIS_PROFILE": "nightly"},
    ),
    "fuzzing of files": (
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "tests/system/test_fuzz.py"],
        {"HYPOTHESIS_PROFILE": "fuzz"},
    ),
    "documentation site": (["make", "docs"], {}),
    "notebooks": (["make", "notebooks", "WITH=--budget 3"], {}),
    "processor settings": ([sys.executable, "-m", "tests.processors"], {}),
}


def main() -> int:
    """Run every part, also after one has failed; return 1 if any has."""
    rows = []
    for name, (command, environment) in PARTS.items():
        print(f"\n== {name}: {' '.join(command)}", flush=True)
        started = time.monotonic()
        code = subprocess.run(command, env={**os.environ, **environment}, check=False).returncode
        rows.append([name, f"{time.monotonic() - started:.0f} s", "passed" if code == 0 else f"failed (exit {code})"])
    print("\n" + tabulate(rows, headers=["part", "time", "result"]))
    return int(any(not result.startswith("passed") for *_, result in rows))


if __name__ == "__main__":
    sys.exit(main())
