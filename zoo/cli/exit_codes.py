"""The exit code of a command: the most severe code of its entries."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import typer

from zoo.errors import NoDataError, UsageError, ZooError, did_you_mean
from zoo.recipes.catalogue import LOCAL, Entry

if TYPE_CHECKING:
    from harness.diagnosis.fingerprint import FingerprintOutcome
    from harness.judging.judge_runs import Outcome

CODES_BY_SEVERITY = (70, 5, 2, 1, 4, 3, 0)
OF_VERDICT = {"reproduced": 0, "not-reproduced": 1, "inconclusive": 3, "not-compared": 3, "not-run": 3}
UNFINISHED = OF_VERDICT["not-run"]
"""The exit code of a plan whose runs are not all made."""
INTERRUPTED, TERMINATED = 130, 143


def end(codes: Iterable[int]) -> None:
    """End the command with the most severe code."""
    code = min(codes, key=CODES_BY_SEVERITY.index, default=0)
    if code:
        raise typer.Exit(code)


def code_of_outcome(
    outcome: "Outcome | FingerprintOutcome", patterns: Collection[str], failing: Collection[str] | None = None
) -> int:
    """Return the exit code of an entry.

    Args:
        outcome: The entry's verdict or error.
        patterns: The names, suites or paths that the user passed. A missing data set is an error only for an entry
            that they name.
        failing: The verdicts that fail; None for all but `reproduced`. An error always fails, and so do published
            weights whose outputs are not finite.
    """
    named = is_named(outcome.entry, patterns)
    if outcome.error is not None and (named or not isinstance(outcome.error, NoDataError)):
        return outcome.error.exit_code
    counts = outcome.counts or (named and outcome.verdict == "not-run")
    fails = counts and (failing is None or outcome.verdict in failing)
    if fails or not counts:
        return OF_VERDICT[outcome.verdict] if fails else 0
    return OF_VERDICT["not-compared"] if outcome.failed else 0


def code_of_error(error: ZooError, named: bool) -> int:
    """Return the exit code of an error; a missing data set is more severe if the user named its entry."""
    return OF_VERDICT["not-run"] if isinstance(error, NoDataError) and not named else error.exit_code


def is_named(entry: Entry, patterns: Collection[str]) -> bool:
    """Return whether the user named this entry or recipe, and not only its suite."""
    return entry.name in patterns or entry.suite == LOCAL


def failing_verdicts(text: str | None) -> frozenset[str] | None:
    """Return the verdicts of `--fail-on`, or None without it. Raise UsageError for an unknown verdict."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    known = [verdict for verdict, code in OF_VERDICT.items() if code]
    for word in words:
        if word not in (*known, "none"):
            raise UsageError(f"--fail-on: {word!r} is not a verdict that can fail{did_you_mean(word, known)}")
    return frozenset(words)
