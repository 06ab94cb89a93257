"""Check claims by arithmetic, and return the result of `zoo.audit`; the code that judges runs is not imported."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.auditing.outcome import AuditOutcome, audit_targets
from harness.auditing.types import AuditVerdict, ClaimAudit, worst
from zoo.api.session import Session
from zoo.claims.targets import read_targets

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class AuditResult:
    """The findings of arithmetic on published claims.

    Attributes:
        outcomes: One for each target: its audit, or the error of reading it.
    """

    outcomes: tuple[AuditOutcome, ...]

    @property
    def verdict(self) -> AuditVerdict:
        """The most severe verdict of all targets; one consistent claim counts more than uninformative ones."""
        return worst(outcome.audit.verdict for outcome in self.outcomes if outcome.audit)

    @property
    def claims(self) -> tuple[ClaimAudit, ...]:
        """All claims, each with its verdict and the findings behind it."""
        return tuple(claim for outcome in self.outcomes if outcome.audit for claim in outcome.audit.claims)

    def raise_error(self) -> None:
        """Raise the error of the first target that has one."""
        for outcome in self.outcomes:
            if outcome.error is not None:
                raise outcome.error

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each claim."""
        import pandas as pd  # takes longer to import than the audit

        columns = ["target", "metric", "value", "data", "verdict", "text"]
        rows = [
            (outcome.name, claim.claim.metric, claim.claim.text, claim.where, claim.verdict, claim.text)
            for outcome in self.outcomes
            if outcome.audit
            for claim in outcome.audit.claims
        ]
        return pd.DataFrame(rows, columns=columns)


def audit_claims(
    session: Session, targets: Sequence[str], suites: Sequence[str], everything: bool, where: str | None = None
) -> list[AuditOutcome]:
    """Return what arithmetic says about the claims of each target. See `zoo.claims.targets.read_targets`."""
    found = read_targets(targets, suites, everything, session.fetcher, select=session.entries.select, where=where)
    return audit_targets(found)
