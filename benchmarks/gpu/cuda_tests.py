"""The part that runs the tests on the device."""

import os
import re
from collections import Counter

from benchmarks.gpu.session import NotRunError, Session

PART, WORKERS = "tests", 12
RESULT = re.compile(r"\b(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) (tests/\S+)")
"""A line of pytest-xdist: `[gw0] [ 10%] PASSED tests/...`."""
ONE_FILE = "tests/harness/models/test_outputs.py"
"""The tests of `--quick`."""


def run_tests(session: Session) -> None:
    """Run the tests with `--device`, at most a third of all seconds, and save how many passed and which failed.

    Raises:
        NotRunError: pytest did not start.
    """
    log = session.logs / "tests.log"
    limit = session.seconds / 3
    code, seconds = session.run(_command(session), log, limit=limit, ZOO_TEST_DEVICE=session.device)
    text = log.read_text(encoding="utf-8", errors="replace")
    results = RESULT.findall(text)
    if not results:
        errors = [*text.splitlines(), *log.with_suffix(".err").read_text(encoding="utf-8").splitlines()]
        reason = next((line for line in reversed(errors) if "error" in line.lower()), "pytest printed no result")
        raise NotRunError(reason[-200:])
    counts = Counter(result for result, _ in results)
    failed = sorted(name for result, name in results if result in {"FAILED", "ERROR"})
    session.save(
        PART, seconds=seconds, cut_off=code is None, counts={name.lower(): n for name, n in counts.items()},
        failed=failed,
    )  # fmt: skip


def _command(session: Session) -> list[str]:
    workers = str(min(WORKERS, os.cpu_count() or 1))
    return [
        "pytest", "--device", session.device, "-m", "not slow and not browser", "-n", workers, "--dist", "worksteal",
        "-p", "no:benchmark", "-p", "no:cacheprovider", "-v", "--tb=short", *([ONE_FILE] if session.quick else []),
    ]  # fmt: skip
