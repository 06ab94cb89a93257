"""The Hub's names for what a recipe names. Never imports torch."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.fetch.source_types import HubRepo, is_source, parse_or_none
from zoo.recipes.metric_names import metric_name
from zoo.recipes.values import texts
from zoo.safe_text import one_line

HUB_METRICS = {
    "pearson": "pearsonr", "spearman": "spearmanr", "f1_micro": "f1", "f1_macro": "f1",
    "top5_accuracy": "top-5-accuracy", "precision_score": "precision", "recall_score": "recall",
    "balanced_accuracy_score": "balanced_accuracy", "cohen_kappa_score": "cohen_kappa",
    "token_accuracy": "accuracy", "answer_f1": "f1",
    **{f"{level}_{name}": name for level in ("entity", "token") for name in ("precision", "recall", "f1")},
}  # fmt: skip
"""Metrics that have another name on the Hub: that of huggingface's `evaluate`, or the one that cards have."""
LEVELS = ("entity_", "token_")
"""How the names of metrics begin that say what they count."""
EDGE_CASES = ("zero_division",)
"""Arguments that only say what a metric is where it is not defined; names of metrics do not mention them."""
OTHER = "other"
"""The Hub's type of a task that it has no name for."""
LONGEST_TYPE = 96
"""The most characters of the type of a data set, which looks like the name of a repository."""


def hub_repos(data: Any, kind: str) -> Iterator[tuple[str, HubRepo]]:
    """Yield the repositories of one kind that a part of a recipe names, each once, with their sources."""
    for text in dict.fromkeys(texts(data)):
        repo = parse_or_none(text)
        if isinstance(repo, HubRepo) and repo.kind == kind:
            yield text, repo


def metric_arguments(recipe: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """Return the arguments of a metric of a recipe as data, such as the average of F1; empty without any."""
    calls = [call for call in recipe.get("metrics") or () if metric_name(call) == metric]
    return {key: value for call in calls for key, value in dict(call).items() if key != "use"}


def metric_title(metric: str, arguments: Mapping[str, Any]) -> str:
    """Return the name of a metric for readers: `f1 (macro)`. With arguments it begins with the Hub's name.

    A metric of entities or tokens says so: `entity f1 (macro)`.
    """
    named = [
        str(value) if name == "average" else name if value is True else f"{name} {value}"
        for name, value in arguments.items()
        if name not in EDGE_CASES
    ]
    plain = metric.replace("_", " ")
    start = plain if metric.startswith(LEVELS) else HUB_METRICS.get(metric, metric)
    return one_line(f"{start} ({', '.join(named)})" if named else plain)


def source_name(data: Any, split: str) -> str:
    """Return the last part of the name of a task's data, or of its file for one split; empty if there is none."""
    text = data.get(split, "") if isinstance(data, Mapping) else data
    source = parse_or_none(text.rstrip("/")) if is_source(text) else None
    return "" if source is None else source.short_name.strip(".")


def data_set_slug(name: str) -> str:
    """Return the type of a data set that is not on the Hub: its name with the characters of a repository's name."""
    slug = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")
    return slug[:LONGEST_TYPE] or OTHER
