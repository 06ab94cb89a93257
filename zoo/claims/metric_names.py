"""Read which metric an author means: `eval_accuracy`, `acc@1`, `F1 (macro)`, `cosine_spearman`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from zoo.claims.data_sets import SIMILAR, find_data_set
from zoo.claims.published import PublishedClaim
from zoo.recipes import claim as in_recipes

AVERAGES = ("binary", "macro", "micro", "weighted", "samples")
ERRORS = {"error": "accuracy", "top5_error": "top5_accuracy"}
"""Error rates -> the score whose complement they are."""
SHARES = (*in_recipes.SHARES, *ERRORS)
"""Metrics that are a share of the rows: those that recipes name, and those that only authors name."""
CORRELATIONS = (*in_recipes.CORRELATIONS, "cohen_kappa")
"""Metrics that range from -1 to 1."""
MOST_CHARACTERS = 80
"""A longer text names no metric."""
_METRICS = {
    "balanced_accuracy": r"balanced (accuracy|acc)|bal acc",
    "top5_accuracy": r"(acc(uracy)?|top) ?5( (acc(uracy)?|score))?|acc(uracy)? top ?5",
    "accuracy": r"acc(uracy)?( ?1)?|top ?1( acc(uracy)?)?|acc(uracy)? top ?1",
    "top5_error": r"top ?5 err(or)?( rate)?",
    "error": r"(top ?1 )?err(or)?( rate)?",
    "exact_match": r"exact match|em|exact",
    "matthews_correlation": r"matthews( correlation| corr| corrcoef| correlation coefficient)?|mcc",
    "cohen_kappa": r"(cohen( ?s)? )?kappa( coefficient)?",
    "pearson": r"pearson ?r?( correlation)?( coefficient)?|pearsonr",
    "spearman": r"spearman ?r?( rank)?( correlation)?( coefficient)?|spearmanr|spearman rho",
    "f1": r"f ?1|f ?1 ?score|f score|f measure",
    "precision": r"precision|prec",
    "recall": r"recall|rec|sensitivity",
    "mean_iou": r"mean iou|miou",
    "pixel_accuracy": r"pixel acc(uracy)?",
}
"""Name in `harness.metrics`, where there is one -> the words that mean it, without words of `_FILLERS`."""
_PATTERNS = {name: re.compile(pattern) for name, pattern in _METRICS.items()}
_FILLERS = {"eval", "test", "validation", "valid", "val", "dev", "overall", "score", "avg", "average", "averaged",
            "the", "metric", "train", "predict", "final", "best", "of"}  # fmt: skip
_VARIANTS = {"cosine": "cosine", "cos": "cosine", "sim": "cosine", "similarity": "cosine", "dot": "dot",
             "euclidean": "euclidean", "manhattan": "manhattan", "max": "max"}  # fmt: skip
_LEVELS = {"entity": "entity", "entities": "entity", "seqeval": "entity", "ner": "entity", "span": "entity",
           "token": "token", "tokens": "token", "word": "token", "level": "", "strict": ""}  # fmt: skip
"""Words in the names of metrics of tags -> what is counted; two of them do not say it."""
_OF_TAGS = re.compile(r"token|named.entity|\bner\b|part.of.speech|\bpos\b")
"""A kind of task whose metrics count entities or tokens."""
_CLASS = re.compile(r"(class|label) ?\w+")
_OF_ONE_CLASS = ("f1", "precision", "recall")
"""Metrics after which a bare number is a class."""
_RANKED = re.compile(r"(?<!top)(?<!acc)(?<!accuracy)@|_at_\d|\bat \d")


@dataclass(frozen=True, kw_only=True)
class MetricName:
    """A metric, as far as an author names it."""

    name: str
    """The name in `harness.metrics`, where there is one; else `balanced_accuracy`, `cohen_kappa`, `precision`, `recall`
    or `exact_match`."""
    average: str | None = None
    """The average over the classes, one of `AVERAGES`; None if the author does not say."""
    variant: str = ""
    """The similarity of embeddings that it is computed from: `cosine`, `dot`, `euclidean`, `manhattan`, `max`."""
    of_class: str = ""
    """The class that it is about, if it is one of several: `class 1`, or a name of the data set's."""
    level: str = ""
    """For tags, whether it counts each `entity` or each `token`; empty if the author does not say."""
    is_strict: bool = False
    """For tags, whether entities are read by the rules of their scheme."""

    def __str__(self) -> str:
        words = (
            "strict" if self.is_strict else "",
            self.level,
            self.variant,
            self.average or "",
            self.name.replace("_", " "),
            self.of_class and f"of {self.of_class}",
        )
        return " ".join(word for word in words if word)


def read_metric(claim: PublishedClaim) -> MetricName | None:
    """Return the metric of a claim, or None if it is another one or cannot be told.

    A metric at a rank, such as `recall@10`, is one of retrieval and no metric of a classifier.
    """
    text = claim.metric.strip().lower()
    if not text or len(text) > MOST_CHARACTERS or _RANKED.search(text):
        return None
    words = [word for word in re.split(r"[^a-z0-9]+", text) if word and word not in _FILLERS]
    of_tags = [word for word in words if word in _LEVELS and is_of_tags(claim.task)]
    words = [word for word in words if word not in of_tags]
    levels = dict.fromkeys(filter(None, (_LEVELS[word] for word in of_tags)))
    averages = [word for word in words if word in AVERAGES]
    variants = [_VARIANTS[word] for word in words if word in _VARIANTS]
    plain = [word for word in words if word not in AVERAGES and word not in _VARIANTS]
    if variants and "@" in text:
        return None
    declared = claim.average.strip().lower()
    average = declared if declared in AVERAGES else averages[0] if averages else None
    found = _split_class(plain, claim)
    if found is None or len(set(averages)) > 1 or len(levels) > 1:
        return None
    name, of_class = found
    if name == "cohen_kappa" and averages:  # weights of disagreements, not an average over classes
        return None
    return MetricName(
        name=name, average=average, variant=variants[0] if variants else "", of_class=of_class,
        level=next(iter(levels), ""), is_strict="strict" in of_tags,
    )  # fmt: skip


def is_of_tags(task: str) -> bool:
    """Return whether a claim's kind of task gives each word of a sentence a tag."""
    return _OF_TAGS.search(task.strip().lower()) is not None


def similar_metric(name: str) -> str:
    """Return the name of a metric that an author may have misspelled, or an empty text, as for a metric at a rank.

    The metrics of tags are not misspelled either: `token_accuracy` is no `top5 accuracy`.
    """
    if _RANKED.search(name.lower()) or name.lower().startswith(("entity", "token")):
        return ""
    known = [metric.replace("_", " ") for metric in _METRICS]
    plain = " ".join(re.split(r"[^a-z0-9]+", name.strip().lower()))[:MOST_CHARACTERS]
    return next(iter(get_close_matches(plain, known, n=1, cutoff=SIMILAR)), "")


def _split_class(words: Sequence[str], claim: PublishedClaim) -> tuple[str, str] | None:
    """Return the name of the metric and the class that the other words name; None if they name something else."""
    for length in range(len(words), 0, -1):
        for start in (0, len(words) - length):
            name = _name_of(" ".join(words[start : start + length]))
            rest = " ".join(words[:start] or words[start + length :])
            if name and (not rest or _is_class(rest, claim) or (name in _OF_ONE_CLASS and rest.isdecimal())):
                return name, rest
    return None


def _name_of(words: str) -> str:
    return next((name for name, pattern in _PATTERNS.items() if pattern.fullmatch(words)), "")


def _is_class(words: str, claim: PublishedClaim) -> bool:
    data_set = find_data_set(claim)
    classes = data_set.facts.classes if data_set else ()
    return _CLASS.fullmatch(words) is not None or words in {
        re.sub(r"[^a-z0-9]+", " ", name.lower()) for name in classes
    }
