"""Apply the relations between scores, and the scores of constant answers, to a result."""

from collections import defaultdict
from collections.abc import Iterator

from harness.auditing import relations
from harness.auditing.results import Result, Score
from harness.auditing.types import Finding
from zoo.claims.metric_names import ERRORS
from zoo.claims.printed import Printed

OF_CLASSES = ("f1", "precision", "recall")
LARGER_OF = {
    ("top5_accuracy", "accuracy"): "top-5 accuracy is below top-1 accuracy",
    ("f1", "exact_match"): "F1 of answers is below their exact match",
}
"""A score and another one that it is never below."""


def check_relations(result: Result) -> None:
    """Add what the relations between the scores of a result say."""
    for _, scores in _of_one_average(result):
        _check_f1(scores)
    plain = {score.metric.name: score for score in result if _is_plain(score) and score.metric}
    for error, right in ERRORS.items():
        if error in plain and right in plain:
            _check_complement(plain[right], plain[error])
    rights = _rights(plain)
    for (larger, smaller), what in LARGER_OF.items():
        if larger in rights and smaller in rights:
            pair = [rights[larger], rights[smaller]]
            is_implied = any(score.metric and score.metric.name in ERRORS for score in pair)
            text = f"{what}, computed from error rates" if is_implied else what
            _add(pair, relations.check_at_least(_right(pair[0]), _right(pair[1]), text))
    if "accuracy" in rights and _has_labelled_rows(rights["accuracy"]):
        _check_against_accuracy(rights["accuracy"], result)
    _check_means(result)


def _rights(plain: dict[str, Score]) -> dict[str, Score]:
    """Return the scores by name, an error rate as the accuracy that it implies unless the author prints that too."""
    implied = {right: plain[error] for error, right in ERRORS.items() if error in plain}
    return {**implied, **plain}


def _check_complement(right: Score, error: Score) -> None:
    """Compare an accuracy with its error rate. If the error is on another scale, only the error is blamed."""
    finding = relations.check_complement(_value(right), _value(error))
    _add([error] if finding and finding.rule == "scale" else [right, error], finding)


def check_constants(score: Score) -> None:
    """Add a note to a score that always answering the same class would reach."""
    if score.printed is None or score.metric is None or score.metric.variant or score.metric.of_class:
        return
    if score.metric.name == "matthews_correlation" and score.printed.value == 0:
        score.findings.append(_note("0 is the score of a constant answer"))
    for split in score.sizes:
        counts = score.data_set.facts.class_counts.get(split) if score.data_set else None
        if counts and (constant := _constant_score(score, counts)) is not None:
            low, high = score.printed.interval(loose=True)
            if low <= constant:
                beats = "is" if constant <= high else "is below"
                score.findings.append(_note(f"{beats} the score of a constant answer on {split}, {constant:.4f}"))
            return


def _constant_score(score: Score, counts: tuple[int, ...]) -> float | None:
    assert score.metric is not None
    n, positive = sum(counts), score.data_set.facts.positive if score.data_set else None
    if score.metric.name == "accuracy":
        return max(counts) / n
    if score.metric.name == "f1" and positive is not None and score.metric.average in (None, "binary"):
        share = counts[positive] / n
        return 2 * share / (1 + share)
    return None


def _of_one_average(result: Result) -> Iterator[tuple[object, dict[str, Score]]]:
    """Yield F1, precision and recall of each average, class and similarity."""
    groups: dict[tuple[object, ...], dict[str, Score]] = defaultdict(dict)
    for score in result:
        if score.metric and score.metric.name in OF_CLASSES and score.printed and score.is_single:
            groups[score.metric.average, score.metric.variant, score.metric.of_class][score.metric.name] = score
    yield from ((key, scores) for key, scores in groups.items() if len(scores) == len(OF_CLASSES) and key[1] != "max")


def _check_f1(scores: dict[str, Score]) -> None:
    f1, precision, recall = (scores[name] for name in OF_CLASSES)
    assert f1.metric is not None
    average = "binary" if f1.metric.of_class else f1.metric.average
    finding = relations.check_f1(_value(f1), _value(precision), _value(recall), average)
    _add([f1, precision, recall], finding)


def _check_against_accuracy(accuracy: Score, result: Result) -> None:
    counts = [c for split in accuracy.sizes if (c := _class_counts(accuracy, split))]
    for score in result:
        metric = score.metric
        if metric is None or score.printed is None or not score.is_single or metric.variant or metric.of_class:
            continue
        if metric.average == "micro" and metric.name in OF_CLASSES:
            _add([score], relations.check_equal(_right(accuracy), score.printed, f"micro {metric.name}"))
        elif metric.average == "weighted" and metric.name == "recall":
            _add([score], relations.check_equal(_right(accuracy), score.printed, "weighted recall"))
        elif len(counts) == 1 and _is_mean_recall(score):
            _add([score], _check_mean_recall(accuracy, score.printed, counts[0]))


def _is_mean_recall(score: Score) -> bool:
    metric = score.metric
    return metric is not None and (
        metric.name == "balanced_accuracy" or (metric.name == "recall" and metric.average == "macro")
    )


def _check_mean_recall(accuracy: Score, mean: Printed, counts: tuple[int, ...]) -> Finding | None:
    if len(set(counts)) == 1:
        return relations.check_equal(_right(accuracy), mean, "the mean recall of classes of equal size")
    low, high = relations.recall_limits(_right(accuracy), counts)
    low_mean, high_mean = mean.interval(loose=True)
    if low_mean <= high and low <= high_mean:
        return None
    text = f"the accuracy allows a mean recall of {low:.4f} to {high:.4f}"
    return Finding(rule="relation", verdict="impossible", text=text)


def _check_means(result: Result) -> None:
    for name in OF_CLASSES:
        of_classes = {s.metric.of_class: s.printed for s in result
                      if s.metric and s.metric.name == name and s.metric.of_class and s.printed}  # fmt: skip
        for score in result:
            metric, data = score.metric, score.data_set
            is_mean = metric and metric.name == name and metric.average == "macro" and not metric.of_class
            if is_mean and score.printed and data and len(of_classes) == len(data.facts.classes) > 0:
                _add([score], relations.check_mean(score.printed, of_classes))


def _is_plain(score: Score) -> bool:
    metric = score.metric
    if metric is None or score.printed is None or not score.is_single or metric.variant or metric.of_class:
        return False
    return metric.average is None


def _has_labelled_rows(score: Score) -> bool:
    return score.data_set is not None and score.data_set.facts.has_labelled_rows and not score.has_loader_effect


def _class_counts(score: Score, split: str) -> tuple[int, ...] | None:
    if score.data_set is None or score.sizes[split] != score.data_set.rows.get(split):
        return None
    return score.data_set.facts.class_counts.get(split)


def _value(score: Score) -> Printed:
    assert score.printed is not None
    return score.printed


def _right(score: Score) -> Printed:
    """Return the value of a score, for an error rate that of the accuracy."""
    assert score.as_right is not None
    return score.as_right[1]


def _add(scores: list[Score], finding: Finding | None) -> None:
    for score in scores:
        score.findings += [finding] if finding else []


def _note(text: str) -> Finding:
    return Finding(rule="constant", verdict="uninformative", text=text)
