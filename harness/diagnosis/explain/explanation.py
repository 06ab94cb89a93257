"""The result of `zoo explain`: as values, as JSON and as text. This module does not import torch."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any, Literal

from zoo.safe_text import one_line
from zoo.text_tables import counted, fitted, number, wrapped

MOST_ROWS = 8
"""The most changes in the table, unless more of them reproduce the claims."""
LEAST_HITS = 0.001
"""A smaller number of changes that hit by chance is not printed."""
ABOUT = "~"
"""Stands before an estimate."""
State = Literal["explained", "unexplained", "nothing to explain", "nothing to compare"]


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """A claim about the published weights, and its result when they are evaluated as the recipe says."""

    split: str
    metric: str
    claimed: float | None
    as_run: float | None
    verdict: str
    why: str
    decimals: int | None = None
    """The number of decimals of the claimed value."""
    rows: int | None = None
    """The number of rows that were scored; None if nothing was."""
    claimed_rows: int | None = None
    """The number of rows that the claim was measured on; None if it is unknown."""
    data: str = ""
    """The file or repository that the rows come from."""
    fits_no_rows: bool = False
    """Whether the claimed value is no share of the rows that were scored, so that it may be about another split."""

    @property
    def size_difference(self) -> str:
        """A sentence on the numbers of rows of claim and run; empty if they are equal, or nothing was scored."""
        if self.rows is None or self.rows == self.claimed_rows:
            return ""
        where = f"{self.split}{f' ({self.data})' if self.data else ''}"
        if self.claimed_rows is None:
            run = f"this run scored {self.rows:,} rows of {where}"
            return f"{self.name}: the claim does not say on how many rows it was measured; {run}"
        run = f"this run on {self.rows:,} rows of {where}"
        return f"{self.name}: the claim was measured on {self.claimed_rows:,} rows, {run}"

    @property
    def name(self) -> str:
        """The metric and the split, such as `accuracy on test`."""
        return f"{self.metric} on {self.split}"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A change to the evaluation, and its result. Values that were not computed are None."""

    factor: str
    change: str = ""
    """The change, such as `lowercase: true -> false`; empty if nothing could be tried for the factor."""
    description: str = ""
    """The change in words, such as `lowercase false instead of true`."""
    changed: int | None = None
    """The number of sample rows whose predictions differ from the evaluation as the recipe says."""
    shift: float | None = None
    """The largest change of a logit of the sample rows."""
    flips: int | None = None
    """The number of sample rows whose predictions differ from the recorded ones, if there are recorded ones."""
    rows_computed: int | None = None
    """The number of rows of the splits that were computed again."""
    values: Mapping[str, float | None] = field(default_factory=dict)
    """Claim, such as `accuracy on test` -> its value; empty if the change was not scored."""
    agrees: bool = False
    """Whether every claim that can be compared is reproduced, and those that failed come nearer; of a pair, nearer than
    by each change alone. A change that only scores the same outputs again must give the digits of the claims."""
    exact: bool = False
    """Whether the claims that failed are reproduced to their last digit."""
    chance_hits: float | None = None
    """The number of changes that would come as near to invented claims by chance, see `chance_hits` in
    `harness.diagnosis.explain.chance`; None if the change does not agree, or no claim is a share of the rows."""
    distance: float | None = None
    """The largest difference between value and claim, among the claims that failed."""
    is_estimate: bool = False
    """Whether the values are estimated from some rows, because they are too far from the claims to need all rows."""
    reason: str = ""
    """Why the change was not scored, or is no cause although it gives the digits of the claims that failed."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The claims of an entry about its published weights, and the changes that were tried, the cheapest first."""

    entry: str
    title: str
    """The name of the entry for readers, such as OWNER/NAME."""
    claims: tuple[ClaimResult, ...]
    sample_rows: int = 0
    """The number of rows that each change is tried on first."""
    attempts: tuple[Attempt, ...] = ()
    scored: int = 0
    """The number of changes that were scored, with orders of the classes that are not among the attempts."""

    @property
    def successful(self) -> tuple[Attempt, ...]:
        """The attempts that reproduce every claim."""
        return tuple(attempt for attempt in self.attempts if attempt.agrees)

    @property
    def nearest(self) -> Attempt | None:
        """The attempt that comes nearest to the claims; None if none is nearer than the evaluation as it was run."""
        distance = max((abs((claim.as_run or 0.0) - (claim.claimed or 0.0)) for claim in self.failing), default=0.0)
        nearer = [attempt for attempt in self.attempts if attempt.distance is not None and attempt.distance < distance]
        return min(nearer, key=lambda attempt: attempt.distance or 0.0, default=None)

    @property
    def failing(self) -> tuple[ClaimResult, ...]:
        """The claims that are not reproduced, or fit no number of rows, when the recipe is followed."""
        return tuple(claim for claim in self.claims if claim.verdict == "not-reproduced" or claim.fits_no_rows)

    @property
    def not_compared(self) -> tuple[ClaimResult, ...]:
        """The claims that cannot be compared."""
        return tuple(claim for claim in self.claims if claim.verdict == "not-compared")

    @property
    def state(self) -> State:
        """The outcome in two words: whether a claim fails, and whether a cause was found."""
        if self.successful:
            return "explained"
        if any(claim.verdict == "not-reproduced" for claim in self.claims):
            return "unexplained"
        is_compared = any(claim.verdict == "reproduced" for claim in self.claims)
        return "nothing to explain" if is_compared else "nothing to compare"

    def sentences(self) -> list[str]:
        """Return the result in sentences, without the table of attempts."""
        if self.state in ("nothing to explain", "nothing to compare"):
            first = "every claim about the published weights that can be compared is reproduced"
            if self.state == "nothing to compare":
                first = "no claim about the published weights can be compared"
            compared = [f"{claim.name}: {claim.verdict}: {claim.why}" for claim in self.claims]
            return [first, *self._sizes(self.not_compared), *compared]
        return [*self._sizes((*self.not_compared, *self.failing)), *self._causes()]

    def _causes(self) -> list[str]:
        if self.successful:
            within = " within the tolerance, not to the last digit"
            pairs = [
                (attempt, f"reproduces the claims{'' if attempt.exact else within}") for attempt in self.successful
            ]
            return [f"{self._sentence(attempt, verb)}; {self._luck(attempt)}" for attempt, verb in pairs]
        if self.nearest is None:
            return ["no change that could be tried reproduces the claims, and none comes nearer to them"]
        why = f"; it is no cause: {self.nearest.reason}" if self.nearest.reason else ""
        return [
            "no change that was tried reproduces the claims",
            f"{self._sentence(self.nearest, 'comes nearest')}{why}",
        ]

    def _luck(self, attempt: Attempt) -> str:
        """Return that a change is a possible cause, and how many changes would be as near by chance."""
        tried = f"of the {counted(self.scored, 'change')} that were scored"
        if attempt.chance_hits is None:
            return f"a possible cause: one {tried} may do so by chance"
        hits = f"about {attempt.chance_hits:.2g}" if attempt.chance_hits >= LEAST_HITS else f"fewer than {LEAST_HITS}"
        return f"a possible cause: {hits} {tried} would come as near to an invented claim by chance"

    @staticmethod
    def _sizes(claims: Iterable[ClaimResult]) -> list[str]:
        return [claim.size_difference for claim in claims if claim.size_difference]

    def _sentence(self, attempt: Attempt, verb: str) -> str:
        values = []
        for claim in self.failing:
            value, claimed, as_run = (
                number(score, claim.decimals) for score in (attempt.values.get(claim.name), claim.claimed, claim.as_run)
            )
            value = f"{ABOUT * attempt.is_estimate}{value}"
            values.append(f"{claim.name} {value}, claimed {claimed} ({as_run} without the change)")
        return f"{attempt.factor}: {attempt.description} {verb}: {'; '.join(values)}"

    def data(self) -> dict[str, Any]:
        """Return the result as plain data for JSON."""
        return {
            "entry": self.entry,
            "title": self.title,
            "state": self.state,
            "claims": [asdict(claim) for claim in self.claims],
            "sample_rows": self.sample_rows,
            "scored": self.scored,
            "successful": [attempt.factor for attempt in self.successful],
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "sentences": self.sentences(),
        }

    def text(self, columns: int | None = None) -> str:
        """Return the sentences, a table of the changes that move a score, and the others in short.

        Args:
            columns: The width of the terminal in characters; None for no limit.
        """
        lines = [one_line(f"{self.title}: {self.state}")]
        lines += [wrapped(one_line(text), columns, "  ", "    ") for text in self.sentences()]
        effective = [attempt for attempt in self.attempts if attempt.values and not self._has_no_effect(attempt)]
        if effective:
            lines += ["", self._table(effective, columns)]
        ineffective = [attempt for attempt in self.attempts if self._has_no_effect(attempt)]
        if ineffective:
            names = dict.fromkeys(f"{attempt.factor} ({attempt.change})" for attempt in ineffective)
            lines += [
                "",
                wrapped(
                    one_line(f"leave the scores as they are ({len(ineffective)}): {'; '.join(names)}"),
                    columns,
                    hanging="  ",
                ),
            ]
        untried: dict[str, list[str]] = {}
        for attempt in self.attempts:
            if not attempt.values and attempt not in ineffective:
                untried.setdefault(attempt.reason, []).append(f"{attempt.factor} {attempt.change}".rstrip())
        if untried:
            lines += ["", "not tried:"]
            lines += [
                wrapped(one_line(f"{', '.join(names)}: {why}"), columns, "  ", "    ") for why, names in untried.items()
            ]
        return "\n".join([*lines, *(["", "--json has every change with its values"] if self.attempts else [])])

    def _has_no_effect(self, attempt: Attempt) -> bool:
        """Return whether a change moves no prediction, or none of the scores that fail."""
        if not attempt.values:
            return attempt.rows_computed == 0
        return all(attempt.values.get(claim.name) == claim.as_run for claim in self.failing)

    def _table(self, attempts: Iterable[Attempt], columns: int | None) -> str:
        """Return a table of changes that were scored, the best ones first, and what its columns mean."""
        headers = [*(claim.metric for claim in self.failing), "agrees", "sample", "shift", "change"]
        ranked = sorted(attempts, key=_rank)
        shown = max(MOST_ROWS, len(self.successful))
        further = len(ranked) - shown
        legend = [
            *([f"{further} more changes, further from the claims"] if further > 0 else []),
            f"sample: predictions that change among {self.sample_rows} rows, the first ones and the longest texts",
            "shift: the largest change of a logit among them",
        ]
        if estimated := next((attempt for attempt in ranked[:shown] if attempt.is_estimate), None):
            legend.append(
                f"{ABOUT}: estimated from {estimated.rows_computed:,} rows, too far from the claims to need all"
            )
        table = fitted([self._row(attempt) for attempt in ranked[:shown]], headers, columns)
        return "\n".join([table, "", *(wrapped(line, columns) for line in legend)])

    def _row(self, attempt: Attempt) -> list[str]:
        sample = "-" if attempt.changed is None else f"{attempt.changed} of {self.sample_rows}"
        shift = "-" if attempt.shift is None else f"{attempt.shift:.1e}"
        about = ABOUT * attempt.is_estimate
        values = [f"{about}{number(attempt.values.get(claim.name), claim.decimals)}" for claim in self.failing]
        differ = "" if attempt.flips is None else f" ({attempt.flips} of the sample differ from the record)"
        return [
            *values,
            "yes" if attempt.agrees else "no",
            sample,
            shift,
            f"{attempt.factor}: {attempt.change}{differ}",
        ]


def _rank(attempt: Attempt) -> tuple[bool, bool, float]:
    """Return the key that sorts the changes that reproduce the claims first, then the nearest."""
    return not attempt.agrees, not attempt.exact, inf if attempt.distance is None else attempt.distance
