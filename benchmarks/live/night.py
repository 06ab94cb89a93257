"""One night: verify entries until the time is over, then add their records and write the leaderboard anew."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from benchmarks.live.attempts import Attempt, failed, succeeded
from benchmarks.live.commands import Verification
from benchmarks.live.rotation import Candidate, expected_seconds, in_order
from leaderboard import promotion
from zoo.errors import ZooError

SHORTEST = 60.0
"""Seconds below which no entry is started."""
Verify = Callable[[str, Path, float], Verification]
"""Verifies an entry, puts its record into a folder of runs, and takes at most some seconds."""


@dataclass(kw_only=True)
class Night:
    """The entries that a night has tried, and those that it has left out."""

    today: date
    attempts: dict[str, Attempt]
    """The attempts of earlier nights, to which those of this night are added."""
    verified: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    too_long: list[str] = field(default_factory=list)
    """Entries that are expected to take longer than the time that is left."""
    notes: list[str] = field(default_factory=list)
    """Records that were not added, and why."""

    def run(
        self, candidates: Sequence[Candidate], runs: Path, verify: Verify, *, seconds: float, most: int
    ) -> Iterator[str]:
        """Verify candidates in their order, and yield each that was tried.

        Args:
            candidates: All candidates.
            runs: The folder of their runs.
            verify: Verifies one of them.
            seconds: The time of the night.
            most: The most entries that are tried.
        """
        end, known = time.monotonic() + seconds, list(candidates)
        for candidate in in_order(candidates, self.today):
            left = end - time.monotonic()
            if left < SHORTEST or len(self.verified) + len(self.failed) == most:
                return
            if (expected_seconds(candidate, known) or 0.0) > left:
                self.too_long.append(candidate.name)
                continue
            started = time.monotonic()
            outcome = verify(candidate.name, runs, left)
            attempt = self._note(candidate, outcome, time.monotonic() - started)
            known = [_timed(each, attempt) if each.name == candidate.name else each for each in known]
            yield candidate.name

    def _note(self, candidate: Candidate, outcome: Verification, seconds: float) -> Attempt:
        name = candidate.name
        if outcome.problem:
            slow = max(seconds, candidate.seconds or 0.0) if outcome.was_too_slow else None
            self.attempts[name] = failed(self.attempts.get(name), self.today, outcome.problem, slow)
        else:
            self.attempts[name] = succeeded(self.today, seconds)
        (self.failed if outcome.problem else self.verified).append(name)
        return self.attempts[name]

    def add_records(self, found: Sequence[tuple[str, Path]], evidence: Path) -> list[str]:
        """Add runs to the committed records, and return the entries that have a new one.

        Args:
            found: Entries with the folders of their runs.
            evidence: The folder of the committed records.
        """
        added = []
        for name, run in found:
            try:
                (promoted,) = promotion.promote([str(run)], run.parent.parent, evidence)
            except ZooError as error:
                self.notes.append(f"{name}: {error}")
                continue
            if promoted.is_new:
                added.append(name)
            elif not promoted.is_equal:
                self.notes.append(f"{name}: other results than the record {promoted.folder.name}, with equal inputs")
        return list(dict.fromkeys(added))


def _timed(candidate: Candidate, attempt: Attempt) -> Candidate:
    return replace(candidate, seconds=attempt.seconds)


def runs_below(folder: Path, entries: Sequence[str]) -> list[tuple[str, Path]]:
    """Return the runs of published weights in a folder, with the entries that they are of."""
    found = sorted(folder.glob("*/weights-*/record.json"))
    return [(path.parent.parent.name, path.parent) for path in found if path.parent.parent.name in entries]
