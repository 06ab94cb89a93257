"""Audit the claims of one place. Never imports torch."""

from harness.auditing.contradictions import check_contradictions
from harness.auditing.count_rule import check_count, unknown_rows
from harness.auditing.joint_rule import check_joint
from harness.auditing.relation_rule import check_constants, check_relations
from harness.auditing.results import Result, Score, results_of, scale
from harness.auditing.types import Audit, Finding
from zoo.claims.metric_names import similar_metric
from zoo.claims.published import PublishedClaims


def audit(published: PublishedClaims) -> Audit:
    """Check claims by arithmetic.

    Args:
        published: The claims of a model, a recipe or a file.

    Returns:
        The audit, with the claims in the order of their lines, losses among scores.
    """
    every = (*published.claims, *published.no_scores)
    results = [_checked(result) for result in results_of(every)]
    check_contradictions(results)
    for result in results:
        for score in result:
            check_constants(score)
            _add_reason(score)
    files = list(dict.fromkeys(claim.mark.path for claim in every))
    ordered = sorted(every, key=lambda claim: (files.index(claim.mark.path), claim.mark.line, claim.mark.column))
    places = {id(claim): number for number, claim in enumerate(ordered)}
    scores = sorted((score for result in results for score in result), key=lambda score: places[id(score.claim)])
    claims = tuple(score.audited() for score in scores)
    return Audit(
        name=published.name, claims=claims, problems=published.problems, revision=published.revision,
        why_none=published.why_none,
    )  # fmt: skip


def _checked(result: Result) -> Result:
    """Return a result with the findings of all rules within it, on the scale that has the fewest problems."""
    first = [score.fresh() for score in result]
    is_unclear = scale(first, unclear_are_fractions=False)
    _check(first)
    if not is_unclear or not any(finding.is_bad for score in first for finding in score.findings):
        return first
    second = [score.fresh() for score in result]
    scale(second, unclear_are_fractions=True)
    _check(second)
    return second


def _check(result: Result) -> None:
    for score in result:
        check_count(score)
    check_relations(result)
    check_joint(result)


def _add_reason(score: Score) -> None:
    """Add why no rule applies to a claim."""
    if score.findings:
        return
    if score.claim.number is None:
        text = "the value is no number"
    elif score.metric is None:
        similar = similar_metric(score.claim.metric)
        hint = f"; did you mean {similar}?" if similar else ""
        text = (
            f"no rule for the metric {score.claim.metric!r}{hint}" if score.claim.metric else "the metric is not named"
        )
    elif score.data_set is None and score.claim.n is None:
        text = unknown_rows(score.claim)
    else:
        text = "no rule applies to this metric on these rows"
    score.findings.append(Finding(rule="none", verdict="uninformative", text=text))
