"""Run `zoo` commands in processes of their own, so that no entry can end the night."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERIFIED = (0, 1, 3)
"""Exit codes of `zoo verify` after which there is a record: every verdict is an answer."""
OUT_OF_TIME = 75
SIZES_SECONDS = 600.0
"""The most seconds for asking all servers for sizes. Without an answer, no size is known."""
GRACE_SECONDS = 120.0
"""Seconds that a command has beyond its time limit before it is killed."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How the verification of an entry ended."""

    problem: str = ""
    """Why there is no record; empty if there is one."""
    was_too_slow: bool = False
    """Whether the time was too short."""


def download_sizes(names: Sequence[str]) -> dict[str, int | None]:
    """Return the bytes that each entry downloads; None if a server does not say. Empty if the command took too long."""
    data, code, _ = _zoo(["verify", *names, "--dry-run", "--json"], SIZES_SECONDS)
    if code is None:
        sys.stderr.write(f"no size of a download is known: the servers did not answer in {SIZES_SECONDS:.0f} s\n")
    return {unit["entry"]: unit["download_bytes"] for unit in (data or {}).get("plan", [])}


def verify(name: str, runs: Path, seconds: float) -> Verification:
    """Verify the published weights of an entry on the CPU, and put its record into a folder of runs.

    Args:
        name: The entry.
        runs: The folder of the runs.
        seconds: The most time that it may take.
    """
    arguments = ["verify", name, "--json", "--device", "cpu", "--records", str(runs), "--time-limit", f"{seconds:.0f}s"]
    data, code, last_line = _zoo(arguments, seconds + GRACE_SECONDS)
    if code is None or code == OUT_OF_TIME:
        return Verification(problem=f"{seconds / 60:.0f} minutes were too short", was_too_slow=True)
    (entry,) = data["entries"] if data else ({"error": last_line, "records": []},)
    if entry["error"] or code not in VERIFIED or not entry["records"]:
        return Verification(problem=entry["error"] or f"exit code {code}: {last_line}")
    return Verification()


def write_pages() -> None:
    """Write the pages of the leaderboard anew from the committed records."""
    subprocess.run([sys.executable, "-m", "zoo", "leaderboard"], check=True)


def _zoo(arguments: Sequence[str], timeout: float) -> tuple[dict[str, Any] | None, int | None, str]:
    """Run a command; return its JSON, its exit code (None if it was killed), and the last line on stderr."""
    command = [sys.executable, "-m", "zoo", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - a command of this project
            command, capture_output=True, encoding="utf-8", timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return None, None, ""
    sys.stderr.write(done.stderr)
    data = json.loads(done.stdout) if done.stdout.startswith("{") else None
    return data, done.returncode, (done.stderr.splitlines() or [""])[-1]
