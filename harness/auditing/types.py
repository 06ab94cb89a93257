"""The values of an audit: findings on claims, and their verdicts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from zoo.claims.metric_names import MetricName
from zoo.claims.published import PublishedClaim
from zoo.errors import Problem

AuditVerdict = Literal["impossible", "inconsistent", "consistent", "uninformative"]
VERDICTS_BY_SEVERITY: tuple[AuditVerdict, ...] = ("impossible", "inconsistent", "consistent", "uninformative")
EVIDENCE = 0.05
"""A rule that a value passes by luck with a larger chance is no evidence."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The finding of one rule about a claim."""

    rule: str
    """The rule, a heading of docs/audit.md: `scale`, `count`, `joint`, `relation`, `constant`, `contradiction`."""
    verdict: AuditVerdict
    text: str
    """The finding, in words, without the verdict."""
    chance: float | None = None
    """The share of values that would pass the rule by luck; None where luck has no part."""

    @property
    def is_bad(self) -> bool:
        """Whether the verdict is `inconsistent` or `impossible`."""
        return self.verdict in ("inconsistent", "impossible")


@dataclass(frozen=True, kw_only=True)
class ClaimAudit:
    """A claim with all findings on it."""

    claim: PublishedClaim
    metric: MetricName | None
    findings: tuple[Finding, ...] = ()
    where: str = ""
    """The data set and the split, as far as they are known."""

    @property
    def verdict(self) -> AuditVerdict:
        """The most severe verdict of the findings; `uninformative` without any."""
        return worst(finding.verdict for finding in self.findings)

    @property
    def is_bad(self) -> bool:
        """Whether the verdict is `inconsistent` or `impossible`."""
        return any(finding.is_bad for finding in self.findings)

    @property
    def chance(self) -> float | None:
        """The share of values that would pass as well, by the rule that says most; None where luck has no part."""
        return min((finding.chance for finding in self.findings if finding.chance is not None), default=None)

    @property
    def text(self) -> str:
        """The findings, with the verdict at the end: `356 of 408: consistent`."""
        texts = dict.fromkeys(finding.text for finding in self.findings)
        return f"{'; '.join(texts)}: {self.verdict}" if texts else self.verdict


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The audit of one target: a model, a recipe or a file."""

    name: str
    claims: tuple[ClaimAudit, ...]
    problems: tuple[Problem, ...] = field(default=())
    """The parts that could not be read."""
    revision: str = ""
    why_none: str = ""
    """The message if there are no claims."""

    @property
    def verdict(self) -> AuditVerdict:
        """The most severe verdict of the claims. One consistent claim counts more than uninformative ones."""
        return worst(claim.verdict for claim in self.claims)

    @property
    def expected_by_luck(self) -> float:
        """How many of the consistent claims would be expected to pass if all digits were random."""
        return sum(claim.chance or 0.0 for claim in self.claims if claim.verdict == "consistent")


def worst(verdicts: Iterable[AuditVerdict]) -> AuditVerdict:
    """Return the most severe verdict; `uninformative` if there is none."""
    return min(verdicts, key=VERDICTS_BY_SEVERITY.index, default="uninformative")


def evidence(chance: float) -> AuditVerdict:
    """Return the verdict of a rule that a value has passed."""
    return "consistent" if chance < EVIDENCE else "uninformative"
