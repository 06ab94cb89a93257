"""Group claims into results: the scores of one model on one split by one author, which arithmetic can join."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from harness.auditing.scale import scale_all
from harness.auditing.types import ClaimAudit, Finding
from zoo.claims.data_sets import DataSet, find_data_set
from zoo.claims.metric_names import ERRORS, MetricName, read_metric
from zoo.claims.printed import Printed
from zoo.claims.published import PublishedClaim


@dataclass
class Score:
    """A claim while it is audited; the rules add findings."""

    claim: PublishedClaim
    metric: MetricName | None
    data_set: DataSet | None
    printed: Printed | None = None
    """The value as a fraction; None if it is no number of a known metric."""
    sizes: dict[str, int] = field(default_factory=dict)
    """The splits that the author may mean, with their rows; those that fit, once the count rule has run."""
    has_loader_effect: bool = False
    """Whether a data loader explains the value, so that no confusion matrix needs to fit."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_single(self) -> bool:
        """Whether the value is of one evaluation, not the mean of several with its spread."""
        return self.claim.number is not None and self.claim.number.spread is None

    @property
    def as_right(self) -> tuple[str, Printed] | None:
        """The name of the metric and the value; for an error rate those of the accuracy that it implies."""
        if self.metric is None or self.printed is None:
            return None
        right = ERRORS.get(self.metric.name)
        return (right, self.printed.complement) if right else (self.metric.name, self.printed)

    def fresh(self) -> "Score":
        """Return a copy without a value and findings."""
        return replace(self, printed=None, findings=[], sizes=dict(self.sizes))

    def audited(self) -> ClaimAudit:
        """Return the claim with its findings."""
        return ClaimAudit(
            claim=self.claim, metric=self.metric, findings=tuple(self.findings), where=_where(self.claim, self.data_set)
        )


Result = list[Score]
"""The scores of one result: no metric occurs twice."""


def results_of(claims: Iterable[PublishedClaim]) -> list[Result]:
    """Return the claims as results, in the order of the claims. `scale` puts them on the scale of fractions."""
    results: list[Result] = []
    current: dict[tuple[object, ...], Result] = {}
    for claim in claims:
        score, key = _score(claim), _key(claim)
        result = current.get(key)
        if result is None or (score.metric and any(score.metric == other.metric for other in result)):
            result = current[key] = []
            results.append(result)
        result.append(score)
    return results


def _score(claim: PublishedClaim) -> Score:
    data_set = find_data_set(claim)
    score = Score(claim=claim, metric=read_metric(claim), data_set=data_set)
    if claim.n is not None:
        names = [name for name, rows in (data_set.rows if data_set else {}).items() if rows == claim.n]
        declared = data_set.find_splits(claim.split) if data_set else ()
        name = next((name for name in declared if name in names), claim.split or next(iter(names), ""))
        score.sizes = {name: claim.n}
    elif data_set is not None:
        score.sizes = {name: data_set.rows[name] for name in data_set.find_splits(claim.split)}
    return score


def scale(result: Result, *, unclear_are_fractions: bool) -> bool:
    """Set the values of a result on the scale of fractions; return whether the scale of one is unclear."""
    known = [score for score in result if score.metric is not None and score.claim.number is not None]
    pairs = [(score.metric, score.claim.number) for score in known]
    numbers = [(metric, number) for metric, number in pairs if metric and number]
    scaled = scale_all(numbers, unclear_are_fractions=unclear_are_fractions)
    for score, on_scale in zip(known, scaled, strict=True):
        score.printed = on_scale.printed
        score.findings += [on_scale.finding] if on_scale.finding else []
    return any(on_scale.is_unclear for on_scale in scaled)


def _key(claim: PublishedClaim) -> tuple[object, ...]:
    data = (claim.task, claim.dataset, claim.dataset_name, claim.config, claim.split, claim.revision, claim.n)
    return (claim.model, claim.source, claim.has_badge, *data)


def _where(claim: PublishedClaim, data_set: DataSet | None) -> str:
    name = claim.dataset_name or claim.dataset
    if data_set is not None:
        name = " ".join(filter(None, (data_set.id.rpartition("/")[2], data_set.config)))
    elif claim.config and claim.config not in name:
        name = f"{name} {claim.config}"
    return ", ".join(filter(None, (name, claim.split)))
