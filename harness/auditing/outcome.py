"""The outcome of an audit for a user: as text, and as data for JSON."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.auditing.audit import audit
from harness.auditing.types import VERDICTS_BY_SEVERITY, Audit, ClaimAudit
from zoo.claims.published import PublishedClaims
from zoo.claims.targets import Target
from zoo.errors import ZooError
from zoo.safe_text import one_line
from zoo.text_tables import wrapped


@dataclass(frozen=True, kw_only=True)
class AuditOutcome:
    """The audit of a target, or the error of reading it."""

    name: str
    audit: Audit | None = None
    error: ZooError | None = None
    is_named: bool = True
    """Whether the user named the target, and not only its suite."""

    @property
    def has_claims(self) -> bool:
        """Whether the target could be read and has claims."""
        return self.audit is not None and bool(self.audit.claims)

    @property
    def is_unreadable(self) -> bool:
        """Whether the target has parts that cannot be read, and no claim that can."""
        return self.audit is not None and not self.audit.claims and bool(self.audit.problems)


def contradictions_in(published: PublishedClaims) -> tuple[str, ...]:
    """Return a line for each claim that an audit calls inconsistent or impossible."""
    return tuple(f"audit: {_line(claim)}" for claim in audit(published).claims if claim.is_bad)


def audit_targets(targets: Iterable[Target]) -> list[AuditOutcome]:
    """Return the outcome of each target."""
    return [
        AuditOutcome(
            name=target.name, error=target.error, is_named=target.is_named,
            audit=audit(target.published) if target.published is not None else None,
        )
        for target in targets
    ]  # fmt: skip


def counts_of_verdicts(outcomes: Sequence[AuditOutcome]) -> dict[str, int]:
    """Return how many targets have each verdict."""
    counts = Counter(outcome.audit.verdict for outcome in outcomes if outcome.audit and outcome.has_claims)
    return {verdict: counts[verdict] for verdict in reversed(VERDICTS_BY_SEVERITY)}


def text_of(outcome: AuditOutcome, columns: int | None) -> str:
    """Return a target as text: its verdict, and a paragraph for each claim.

    Args:
        outcome: The outcome.
        columns: The width of the terminal; None for no limit.
    """
    if outcome.audit is None:
        return ""
    name, revision = one_line(outcome.name), outcome.audit.revision[:7]
    at = f" ({revision})" if "@" in name else f"@{revision}"
    head = f"{name}{at if revision and revision not in name else ''}"
    if not outcome.audit.claims:
        return f"{head}: {'no claim can be read' if outcome.is_unreadable else outcome.audit.why_none}"
    lines = [wrapped(_line(claim), columns, "  ", "    ") for claim in outcome.audit.claims]
    return "\n".join([f"{head}: {outcome.audit.verdict}", *lines])


def summary_of(outcomes: Sequence[AuditOutcome], columns: int | None) -> str:
    """Return how many targets have each verdict, and how many consistent claims luck explains."""
    counts = {verdict: count for verdict, count in counts_of_verdicts(outcomes).items() if count}
    audits = [outcome.audit for outcome in outcomes if outcome.audit is not None]
    consistent = sum(claim.verdict == "consistent" for found in audits for claim in found.claims)
    luck = sum(found.expected_by_luck for found in audits)
    text = _targets(counts)
    if consistent == 1:
        text += f" 1 claim is consistent. If its digits were random, the chance of that would be {_few(luck, 'less')}."
    elif consistent:
        text += f" {consistent:,} claims are consistent."
        text += f" If their digits were random, {_few(luck, 'fewer')} of them would be."
    return wrapped(f"{text} An audit is no reproduction." if consistent else text, columns)


def data_of(outcome: AuditOutcome) -> dict[str, Any]:
    """Return a target as data for JSON."""
    found = outcome.audit
    return {
        "target": outcome.name,
        "revision": found.revision or None if found else None,
        "verdict": found.verdict if found and found.claims else None,
        "expected_by_luck": found.expected_by_luck if found else None,
        "error": str(outcome.error) if outcome.error else None,
        "problems": [str(problem) for problem in found.problems] if found else [],
        "claims": [claim_data(claim) for claim in found.claims] if found else [],
    }


def claim_data(audited: ClaimAudit) -> dict[str, Any]:
    """Return a claim as data for JSON."""
    claim, metric = audited.claim, audited.metric
    return {
        "metric": claim.metric,
        "read_as": str(metric) if metric else None,
        "value": claim.text,
        "data": audited.where,
        "line": claim.mark.line,
        "verdict": audited.verdict,
        "text": audited.text,
        "findings": [
            {"rule": found.rule, "verdict": found.verdict, "text": found.text, "chance": found.chance}
            for found in audited.findings
        ],
    }


def _targets(counts: Mapping[str, int]) -> str:
    """Return how many of the targets have each verdict: `Of 34 targets, 15 are uninformative and 19 consistent.`"""
    total = sum(counts.values())
    if total < 2:
        return f"The target is {next(iter(counts))}." if counts else "no claims"
    named = [f"{count} {verdict}" for verdict, count in counts.items()]
    first, _, rest = named[0].partition(" ")
    words = [f"{first} {'is' if first == '1' else 'are'} {rest}", *named[1:]]
    return f"Of {total:,} targets, {', '.join(words[:-1])}{' and ' if len(words) > 1 else ''}{words[-1]}."


def _line(audited: ClaimAudit) -> str:
    claim = audited.claim
    where = f" ({audited.where})" if audited.where else ""
    is_named = not claim.average or claim.average.lower() in claim.metric.lower()
    name = f"{claim.metric or 'a score'}{'' if is_named else f' ({claim.average})'}"
    return one_line(f"{name} {claim.text.strip()}{where}: {audited.text}{_luck(audited)}")


def _luck(audited: ClaimAudit) -> str:
    """Return the chance of passing the rules by luck, for a verdict that depends on it."""
    if audited.chance is None or audited.is_bad:
        return ""
    percent = 100 * audited.chance
    shown = "under 0.01" if percent < 0.01 else "100" if percent >= 99.5 else f"{percent:.2g}"
    return f" ({shown} % by luck)"


def _few(number: float, less: str) -> str:
    return f"{number:.2g}" if number >= 0.01 else f"{less} than 0.01"
