"""The order in which a night tries entries: those that were never verified first, then the oldest; cheap ones first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An entry that can be verified, with what is known about its cost."""

    name: str
    suite: str
    rows: int
    """The number of examples on which its score is claimed."""
    size: int | None
    """The bytes to download, which grow with the model; None if a server does not say."""
    seconds: float | None = None
    """How long it took when it was verified last, or how long was too short."""
    verified: date | None = None
    """The date of its newest record, or of its last success if that is later."""
    next_try: date | None = None
    """The first day on which it may be tried, if a failure is the last that happened."""

    @property
    def work(self) -> float | None:
        """A number that grows with the time that an evaluation takes: examples times the size of the model."""
        return None if self.size is None else float(self.rows) * self.size


def in_order(candidates: Sequence[Candidate], today: date) -> list[Candidate]:
    """Return the candidates that may be tried today, in the order in which they are."""
    ready = [each for each in candidates if each.next_try is None or each.next_try <= today]

    def place(candidate: Candidate) -> tuple[date, float, float, str]:
        expected = expected_seconds(candidate, candidates)
        unknown = float("inf")
        return (
            candidate.verified or date.min,
            unknown if expected is None else expected,
            unknown if candidate.work is None else candidate.work,
            candidate.name,
        )

    return sorted(ready, key=place)


def expected_seconds(candidate: Candidate, others: Sequence[Candidate]) -> float | None:
    """Return the seconds that a candidate may take; None if that is unknown.

    It is the time that it took last, or else its work at the median rate of the others, those of its suite if any of
    them was timed.
    """
    if candidate.seconds is not None:
        return candidate.seconds
    timed = [each for each in others if each.seconds and each.work]
    of_suite = [each for each in timed if each.suite == candidate.suite]
    rates = [each.seconds / each.work for each in of_suite or timed if each.seconds and each.work]
    return candidate.work * median(rates) if rates and candidate.work is not None else None
