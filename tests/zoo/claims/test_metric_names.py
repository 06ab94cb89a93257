"""Metrics are read from the many names that authors give them, and no other metric is taken for them."""

import pytest

from zoo.claims.metric_names import MetricName, read_metric
from zoo.claims.published import PublishedClaim
from zoo.errors import Mark

MARK = Mark(path="README.md", line=1, column=1)


def read(metric: str, average: str = "") -> MetricName | None:
    claim = PublishedClaim(metric=metric, text="1", mark=MARK, average=average, dataset="glue", config="mrpc")
    return read_metric(claim)


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("eval_accuracy", MetricName(name="accuracy")),
        ("acc@1", MetricName(name="accuracy")),
        ("Top-1 Accuracy", MetricName(name="accuracy")),
        ("acc1", MetricName(name="accuracy")),
        ("Test Acc", MetricName(name="accuracy")),
        ("top_5_accuracy", MetricName(name="top5_accuracy")),
        ("acc@5", MetricName(name="top5_accuracy")),
        ("F1", MetricName(name="f1")),
        ("F1 (macro)", MetricName(name="f1", average="macro")),
        ("f1_weighted", MetricName(name="f1", average="weighted")),
        ("micro avg F1-score", MetricName(name="f1", average="micro")),
        ("overall_precision", MetricName(name="precision")),
        ("Matthews Correlation", MetricName(name="matthews_correlation")),
        ("cosine_spearman", MetricName(name="spearman", variant="cosine")),
        ("cos_sim_pearson", MetricName(name="pearson", variant="cosine")),
        ("F1 (class 1)", MetricName(name="f1", of_class="class 1")),
        ("recall_not_equivalent", MetricName(name="recall", of_class="not equivalent")),
        ("f1 score of class 1", MetricName(name="f1", of_class="class 1")),
        ("recall 0", MetricName(name="recall", of_class="0")),
        ("Cohen's Kappa", MetricName(name="cohen_kappa")),
        ("cohen_kappa_score", MetricName(name="cohen_kappa")),
        ("em", MetricName(name="exact_match")),
    ],
)
def test_a_metric_is_read_with_its_average(text: str, metric: MetricName) -> None:
    assert read(text) == metric


def test_the_average_of_a_field_of_its_own_counts() -> None:
    assert read("f1", "Macro") == MetricName(name="f1", average="macro")


@pytest.mark.parametrize(
    "text",
    [
        "", "precision_at_10", "recall@1", "cosine_accuracy@1", "ndcg_at_10", "Token accuracy", "rouge1", "wer", "loss",
        "f1 macro micro", "f1 of another class", "accuracy 2", "weighted kappa",
        "fleiss kappa", "x" * 1000,
    ],
)  # fmt: skip
def test_another_metric_is_not_read(text: str) -> None:
    assert read(text) is None
