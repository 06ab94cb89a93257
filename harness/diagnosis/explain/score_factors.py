"""Other orders of the classes, and other metrics that a claim may stand for. They need no forward pass."""

import warnings
from functools import partial
from itertools import permutations

from sklearn import metrics as sklearn_metrics

from harness import metrics
from harness.diagnosis.explain.candidates import Candidates, Untried
from harness.diagnosis.explain.variant import UNCHANGED, Change, Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from harness.metrics import Array, Metric
from zoo.recipes.claim import Claim
from zoo.recipes.values import Call

MOST_CLASSES = 5
"""With more classes there are too many orders for the examples to distinguish."""


def orders(runner: VariantRunner, name: str) -> Candidates:
    """Try every other order of the classes."""
    outputs = runner.logits(name, UNCHANGED, ()).shape[1]
    names = runner.task.class_names or tuple(map(str, range(outputs)))
    if runner.task.kind != "classification" or not 2 <= outputs <= MOST_CLASSES:
        yield Untried("label order", f"tried only for classifiers with 2 to {MOST_CLASSES} classes")
        return
    for order in permutations(range(outputs)):
        if order != tuple(range(outputs)):
            after = ", ".join(names[number] for number in order)
            yield Variant(changes=(Change("label order", "", ", ".join(names), after),), order=order)


def definitions(runner: VariantRunner, claims: tuple[Claim, ...]) -> Candidates:
    """Try other metrics that the name in a claim could stand for."""
    calls = {call.use.split(".")[-1]: call for call in runner.experiment.recipe.metrics}
    for metric in dict.fromkeys(claim.metric for claim in claims):
        current = _definition(calls.get(metric, Call(use=metric)))
        for definition, function in _possible_metrics(runner).items():
            if definition != current and (current, definition) != ("micro f1", "accuracy"):  # equal for single labels
                change = Change("metric definition", "", current, definition)
                yield Variant(changes=(change,), metric=(metric, function))


def _definition(call: Call) -> str:
    name = call.use.split(".")[-1]
    averages = {"f1": call.args.get("average", "binary"), "f1_micro": "micro", "f1_macro": "macro"}
    return f"{averages[name]} f1" if name in averages else name.replace("_", " ")


def _possible_metrics(runner: VariantRunner) -> dict[str, Metric]:
    """Return the metrics that can be computed from the predictions of the task."""
    if runner.task.kind == "regression":
        return {"pearson": metrics.pearson, "spearman": metrics.spearman}
    averages = ("macro", "weighted")
    by_name: dict[str, Metric] = {f"{average} f1": partial(metrics.f1, average=average) for average in averages}
    if runner.task.kind == "multilabel":
        by_name |= {f"{average} f1": partial(metrics.f1, average=average) for average in ("micro", "samples")}
        return {**by_name, "accuracy": metrics.accuracy}
    if len(runner.task.class_names) == 2:
        by_name = {"binary f1": metrics.f1, "binary f1 of the other class": _other_f1, **by_name}
    return {
        "accuracy": metrics.accuracy,
        "balanced accuracy": _balanced_accuracy,
        **by_name,
        "matthews correlation": metrics.matthews_correlation,
    }


def _other_f1(predictions: Array, labels: Array) -> float:
    return metrics.f1(predictions == 0, labels == 0)


def _balanced_accuracy(predictions: Array, labels: Array) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # warns of classes that are predicted but never occur
        return float(sklearn_metrics.balanced_accuracy_score(labels, predictions))
