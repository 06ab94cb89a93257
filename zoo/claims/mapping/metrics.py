"""The metric of a claim as a recipe writes it."""

from collections.abc import Mapping
from dataclasses import dataclass

from zoo.claims.mapping.model_facts import ModelFacts
from zoo.claims.mapping.question_models import METRICS as OF_ANSWERS
from zoo.claims.mapping.question_models import squad_2_metric
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.claims.mapping.tag_models import tag_metric
from zoo.claims.metric_names import read_metric
from zoo.claims.published import PublishedClaim

AVERAGED = {"f1": "f1", "precision": "sklearn.metrics.precision_score", "recall": "sklearn.metrics.recall_score"}
"""Metrics that are defined for one class; for several a recipe says how their mean is taken."""
OF_CLASSES = {
    "accuracy": "accuracy",
    "matthews_correlation": "matthews_correlation",
    "balanced_accuracy": "sklearn.metrics.balanced_accuracy_score",
    "cohen_kappa": "sklearn.metrics.cohen_kappa_score",
}
OF_MANY_CLASSES = {"top5_accuracy": "top5_accuracy"}
"""Metrics of image classifiers with more than five classes."""
OF_NUMBERS = {"pearson": "pearson", "spearman": "spearman"}
TOP = 5


@dataclass(frozen=True, kw_only=True)
class RecipeMetric:
    """A metric in a recipe."""

    use: str
    """The name in `metrics`."""
    arguments: tuple[tuple[str, str | int | bool], ...] = ()
    assumed: str = ""
    """Assumptions about facts that the claim leaves out, for the comments of the recipe."""

    @property
    def name(self) -> str:
        """The name that a claim of the recipe has."""
        return self.use.rpartition(".")[2]


def metric_of(claim: PublishedClaim, model: ModelFacts) -> RecipeMetric:
    """Return the metric of a claim.

    Raises:
        UnmappedError: zoo does not compute it, or it has several definitions.
    """
    found = read_metric(claim)
    known = _known(model)
    if not claim.metric:
        raise UnmappedError(Reason.NO_METRIC)
    if model.kind == "tags" and found is not None:
        use, arguments, assumed = tag_metric(claim, found, model.classes)
        return RecipeMetric(use=use, arguments=tuple(arguments.items()), assumed=assumed)
    if model.kind == "answers" and (use := squad_2_metric(claim.metric)):
        return RecipeMetric(use=use)
    if found is None or found.name not in known:
        kind = "" if found is None else f" of a {'classification' if model.has_classes else model.kind}"
        raise UnmappedError(Reason.UNKNOWN_METRIC, f"{claim.metric!r}{kind}")
    is_cosine = model.kind == "similarity" and found.variant == "cosine"
    if (found.variant and not is_cosine) or found.of_class:
        raise UnmappedError(Reason.UNKNOWN_METRIC, f"{claim.metric!r}: {found}")
    if found.name not in AVERAGED or model.kind == "answers":
        assumed = "of the cosine of the embeddings" if model.kind == "similarity" and not is_cosine else ""
        return RecipeMetric(use=known[found.name], assumed=assumed)
    return _averaged(claim, known[found.name], found.average, model)


def _known(model: ModelFacts) -> Mapping[str, str]:
    if model.kind == "answers":
        return OF_ANSWERS
    if not model.has_classes:
        return OF_NUMBERS
    has_many = model.inputs == "image" and model.outputs > TOP
    return {**OF_CLASSES, **AVERAGED, **(OF_MANY_CLASSES if has_many else {})}


def _averaged(claim: PublishedClaim, use: str, average: str | None, model: ModelFacts) -> RecipeMetric:
    assumed = ""
    if average is None:
        if model.kind != "classification" or model.outputs != 2:
            advice = f"{claim.metric!r}: write `average:` macro, micro or weighted, with `zoo recipe`"
            raise UnmappedError(Reason.UNDEFINED_METRIC, advice)
        average, assumed = "binary", "of class 1, as scikit-learn defines it for two classes"
    if average == "samples" or (average == "binary" and model.outputs != 2):
        raise UnmappedError(Reason.UNDEFINED_METRIC, f"{claim.metric!r}: {average} for {model.outputs} classes")
    arguments: list[tuple[str, str | int]] = [] if average == "binary" else [("average", average)]
    arguments += [] if use == "f1" else [("zero_division", 0)]
    return RecipeMetric(use=use, arguments=tuple(arguments), assumed=assumed)
