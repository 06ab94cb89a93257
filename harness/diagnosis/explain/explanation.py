"""What `zoo explain` found, as values, as JSON and as text. Light: no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from zoo.text_tables import fitted, number

State = Literal["explained", "unexplained", "nothing to explain", "nothing to compare"]


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """A claim of the weights, and what the run as it is gives for it."""

    split: str
    metric: str
    claimed: float | None
    as_run: float | None
    verdict: str
    why: str

    @property
    def name(self) -> str:
        """Such as `accuracy on test`."""
        return f"{self.metric} on {self.split}"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One change, and what came of it; what was not computed is None."""

    factor: str
    change: str = ""
    """Such as `lowercase: true -> false`; empty where nothing of the factor was tried."""
    said: str = ""
    """The same in a sentence: `lowercase false instead of true`."""
    changed: int | None = None
    """Predictions for the canary that differ from the run as it is."""
    shift: float | None = None
    """The farthest that a logit of the canary moved."""
    flips: int | None = None
    """Predictions for the canary that differ from recorded ones, where these are given."""
    computed: int | None = None
    """Rows of the splits that were computed again."""
    values: Mapping[str, float | None] = field(default_factory=dict)
    """Claim -> value, such as `accuracy on test`; empty where it was not scored."""
    agrees: bool = False
    """Whether every claim that can be compared is reproduced."""
    exact: bool = False
    """Whether it does so to the claims' last digits, of those that are not reproduced as it is: not by chance of one
    prediction."""
    distance: float | None = None
    """How far the farthest value is from its claim, of those that are not reproduced as it is."""
    reason: str = ""
    """Why it was not scored."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """An entry's claims of weights as they are run, and what was tried of the known factors, the cheapest first."""

    entry: str
    claims: tuple[ClaimResult, ...]
    canary: int = 0
    """How many rows it has."""
    tried: tuple[Attempt, ...] = ()

    @property
    def found(self) -> tuple[Attempt, ...]:
        """What restores agreement of every claim."""
        return tuple(attempt for attempt in self.tried if attempt.agrees)

    @property
    def nearest(self) -> Attempt | None:
        """What comes nearest to the claims, nearer than the run as it is, of what was scored."""
        far = max((abs((one.as_run or 0.0) - (one.claimed or 0.0)) for one in self.failing), default=0.0)
        scored = [attempt for attempt in self.tried if attempt.distance is not None and attempt.distance < far]
        return min(scored, key=lambda attempt: attempt.distance or 0.0, default=None)

    @property
    def failing(self) -> tuple[ClaimResult, ...]:
        """The claims that are not reproduced as it is."""
        return tuple(claim for claim in self.claims if claim.verdict == "not-reproduced")

    @property
    def state(self) -> State:
        """How it ended."""
        if self.failing:
            return "explained" if self.found else "unexplained"
        compared = any(claim.verdict == "reproduced" for claim in self.claims)
        return "nothing to explain" if compared else "nothing to compare"

    def sentences(self) -> list[str]:
        """What there is to say, without the table."""
        if not self.failing:
            why = "every claim of the weights that can be compared is reproduced as it is"
            if self.state == "nothing to compare":
                why = "no claim of the weights can be compared"
            return [why, *(f"{claim.name}: {claim.verdict}: {claim.why}" for claim in self.claims)]
        if self.found:
            near = "restores agreement within the tolerance, not to the last digit"
            return [self._told(one, "restores agreement" if one.exact else near) for one in self.found]
        if self.nearest is None:
            return ["nothing that could be tried restores agreement, and nothing comes nearer"]
        return ["nothing that was tried restores agreement", self._told(self.nearest, "comes nearest")]

    def _told(self, attempt: Attempt, comes: str) -> str:
        values = [
            f"{claim.name} {number(attempt.values.get(claim.name))}, claimed {number(claim.claimed)}"
            f" ({number(claim.as_run)} as run)"
            for claim in self.failing
        ]
        return f"{attempt.factor}: {attempt.said} {comes}: {'; '.join(values)}"

    def data(self) -> dict[str, Any]:
        """As JSON can hold it."""
        claims = [{**asdict(claim), "as_run": claim.as_run} for claim in self.claims]
        return {
            "entry": self.entry,
            "state": self.state,
            "claims": claims,
            "canary": self.canary,
            "found": [attempt.factor for attempt in self.found],
            "tried": [asdict(attempt) for attempt in self.tried],
            "sentences": self.sentences(),
        }

    def text(self, columns: int | None = None) -> str:
        """The sentences, and a table of what was tried, no wider than so many columns if given."""
        lines = [f"{self.entry}: {self.state}", *(f"  {said}" for said in self.sentences())]
        if self.tried:
            headers = ["factor", "change", "canary", "shift", *(claim.metric for claim in self.failing), "agrees"]
            rows = [self._row(attempt) for attempt in self.tried]
            lines += ["", fitted(rows, headers, columns, flexible=(0, 1, -1))]
            lines += [
                "",
                f"canary: {self.canary} rows, the first, and of texts the longest; predictions that differ",
            ]
        return "\n".join(lines)

    def _row(self, attempt: Attempt) -> list[str]:
        canary = "" if attempt.changed is None else f"{attempt.changed} of {self.canary}"
        canary += "" if attempt.flips is None else f" ({attempt.flips} off the record)"
        shift = "" if attempt.shift is None else f"{attempt.shift:.1e}"
        values = [number(attempt.values.get(claim.name)) for claim in self.failing]
        agrees = attempt.reason or ("yes" if attempt.agrees else "no")
        return [attempt.factor, attempt.change, canary, shift, *values, agrees]
