"""Map the claims of a model to recipes: one for all claims that the same task and the same metrics can check."""

import re
from dataclasses import dataclass, field

from zoo.claims.mapping.metrics import RecipeMetric, metric_of
from zoo.claims.mapping.model_facts import ModelFacts
from zoo.claims.mapping.question_models import TASK
from zoo.claims.mapping.read_model import read_model
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.claims.mapping.scores import Score, read_score
from zoo.claims.mapping.splits import ChosenSplit, choose_split
from zoo.claims.mapping.targets import Target, find_target
from zoo.claims.metric_names import is_of_tags
from zoo.claims.published import PublishedClaim, PublishedClaims
from zoo.claims.split_names import find_splits
from zoo.errors import Problem
from zoo.fetch.source_types import HUB, HubRepo
from zoo.fetch.sources import Sources
from zoo.recipes.claim import CORRELATIONS

TASKS = re.compile(r"classif|inference|sentiment|paraphrase|acceptab|entail|similarity|\bnli\b|\bsts\b|regression")
SIMILARITY = re.compile(r"\bsts\b|similarity")
IMAGE = re.compile(r"(?<!zero-shot-)image-classification")
UNREADABLE = "(unreadable)"
"""Stands for the metric of a claim that cannot be read."""
OTHER_INPUTS = re.compile(r"image|audio|video|token|zero-shot|object|speech|tabular")


@dataclass(frozen=True, kw_only=True)
class MappedClaim:
    """A claim that a recipe can check."""

    claim: PublishedClaim
    score: Score
    metric: RecipeMetric
    split: ChosenSplit


@dataclass(frozen=True, kw_only=True)
class UnmappedClaim:
    """A claim that cannot be compared, and why."""

    claim: PublishedClaim
    error: UnmappedError


@dataclass(frozen=True, kw_only=True)
class ClaimGroup:
    """The claims of one recipe."""

    target: Target
    claims: tuple[MappedClaim, ...]


@dataclass(frozen=True, kw_only=True)
class MappedClaims:
    """All claims of a model: those of recipes, and those that cannot be compared."""

    published: PublishedClaims
    repo: HubRepo
    """The repository at its commit."""
    model: ModelFacts | None = None
    groups: tuple[ClaimGroup, ...] = ()
    unmapped: tuple[UnmappedClaim, ...] = ()
    failure: UnmappedError | None = None
    """Why there is no claim at all."""


def map_claims(published: PublishedClaims, sources: Sources, model: ModelFacts | None = None) -> MappedClaims:
    """Map the claims of a model of the Hub.

    Args:
        published: The claims, of `zoo.claims.hub_card.claims_of_model`.
        sources: Reads the settings of the model and the cards of data sets.
        model: The facts about the model. Default: they are read from its repository.

    Raises:
        SourceError: The Hub cannot be reached.
    """
    repo = HubRepo.parse(f"{HUB}{published.name}@{published.revision}") if model is None else model.repo
    if not (published.claims or published.no_scores):
        return MappedClaims(published=published, repo=repo, failure=_why_none(published))
    mapper = _Mapper(published, repo, sources, known_model=model)
    for claim in published.claims:
        mapper.add(claim)
    no_scores = [
        UnmappedClaim(claim=claim, error=UnmappedError(Reason.NO_SCORE, claim.metric)) for claim in published.no_scores
    ]
    unreadable = [_unreadable(problem) for problem in _lost_claims(published)]
    groups = tuple(ClaimGroup(target=target, claims=tuple(claims)) for target, claims in mapper.groups)
    return MappedClaims(
        published=published, repo=repo, model=mapper.known_model, groups=groups,
        unmapped=(*mapper.unmapped, *no_scores, *unreadable),
    )  # fmt: skip


def _why_none(published: PublishedClaims) -> UnmappedError:
    lost = _lost_claims(published)
    return UnmappedError(Reason.UNREADABLE, str(lost[0])) if lost else UnmappedError(Reason.NO_CLAIMS)


def _lost_claims(published: PublishedClaims) -> list[Problem]:
    """Return the problems that cost claims: a file, or one entry of it, cannot be read."""
    return [problem for problem in published.problems if problem.loses_content]


def _unreadable(problem: Problem) -> UnmappedClaim:
    """Return the place of a problem as a claim, so that readers of the other claims see it."""
    claim = PublishedClaim(metric=UNREADABLE, text="", mark=problem.mark, split=problem.mark.path.rpartition("/")[2])
    return UnmappedClaim(claim=claim, error=UnmappedError(Reason.UNREADABLE, str(problem)))


@dataclass
class _Mapper:
    """Maps one claim after the other. What holds for the whole model is found once."""

    published: PublishedClaims
    repo: HubRepo
    sources: Sources
    groups: list[tuple[Target, list[MappedClaim]]] = field(default_factory=list)
    unmapped: list[UnmappedClaim] = field(default_factory=list)
    known_model: ModelFacts | None = None
    model_error: UnmappedError | None = None

    def add(self, claim: PublishedClaim) -> None:
        """Map a claim, or keep the reason why that is not possible."""
        try:
            _check_model_name(claim, self.published, self.repo)
            score = read_score(claim, self.published.claims)
            inputs = _inputs_of(claim)
            model = self._model()
            _check_inputs(inputs, model, claim)
            metric = metric_of(claim, model)
            _check_sign(claim, score, metric)
            target = find_target(claim, model, self.sources)
            split = _split_of(claim, score, metric, target)
        except UnmappedError as error:
            self.unmapped.append(UnmappedClaim(claim=claim, error=error))
        else:
            mapped = MappedClaim(claim=claim, score=score, metric=metric, split=split)
            self._group_for(target, metric).append(mapped)

    def _model(self) -> ModelFacts:
        """Return the facts about the model; raises the same error for every claim of a model that cannot be run."""
        if self.known_model is None and self.model_error is None:
            try:
                self.known_model = read_model(self.repo, self.published.settings, self.sources)
            except UnmappedError as error:
                self.model_error = error
        if self.known_model is None:
            assert self.model_error is not None
            raise UnmappedError(self.model_error.reason, self.model_error.detail)
        return self.known_model

    def _group_for(self, target: Target, metric: RecipeMetric) -> list[MappedClaim]:
        """Return the group of a target in which the metric's name means this metric; a new one if there is none."""
        for known, claims in self.groups:
            same_name = [mapped.metric for mapped in claims if mapped.metric.name == metric.name]
            if known.task == target.task and all(other.arguments == metric.arguments for other in same_name):
                return claims
        self.groups.append((target, []))
        return self.groups[-1][1]


def _check_model_name(claim: PublishedClaim, published: PublishedClaims, repo: HubRepo) -> None:
    """Raise UnmappedError for a claim on another model of a card that names this one, or several."""
    names = {each.model.strip().lower() for each in published.claims} - {""}
    own = {repo.short_name.lower(), repo.name.lower()}
    name = claim.model.strip().lower()
    if name and name not in own and (names & own or len(names) > 1):
        raise UnmappedError(Reason.OTHER_MODEL, claim.model)


def _inputs_of(claim: PublishedClaim) -> tuple[str, ...]:
    """Return what a model may read in the task of a claim, as `ModelFacts.inputs`; nothing if it names no task.

    Raises:
        UnmappedError: zoo has no task of this kind.
    """
    kind = re.sub(r"[_ ]+", "-", claim.task.strip().lower())
    if IMAGE.fullmatch(kind):
        return ("image",)
    if is_of_tags(claim.task):
        return ("word",)
    if kind in (TASK, f"extractive-{TASK}"):
        return ("question",)
    if kind and (OTHER_INPUTS.search(kind) or not TASKS.search(kind)):
        raise UnmappedError(Reason.UNSUPPORTED_TASK, claim.task)
    if SIMILARITY.search(kind):
        return ("sentence",) if kind == "sentence-similarity" else ("sentence", "text")
    return ("text",) if kind else ()


def _check_inputs(inputs: tuple[str, ...], model: ModelFacts, claim: PublishedClaim) -> None:
    """Raise UnmappedError if the model cannot do the task of a claim."""
    if inputs and model.inputs not in inputs:
        raise UnmappedError(Reason.UNSUPPORTED_MODEL, f"it reads {model.inputs}s, and the claim is on {claim.task}")


def _check_sign(claim: PublishedClaim, score: Score, metric: RecipeMetric) -> None:
    if score.value < 0 and metric.name not in CORRELATIONS:
        raise UnmappedError(Reason.OUT_OF_RANGE, claim.text)


def _split_of(claim: PublishedClaim, score: Score, metric: RecipeMetric, target: Target) -> ChosenSplit:
    if not find_splits(claim.split, target.splits) and find_splits(claim.split, target.hidden):
        raise UnmappedError(Reason.HIDDEN_LABELS, f"{claim.split} of {target.name}")
    return choose_split(claim, score, metric.name, target.splits, target.rows, target.preferred)
