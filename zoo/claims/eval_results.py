"""Read the claims in a file of a model's folder `.eval_results`, the format of the Hub's community evaluations.

An entry names a data set and one of its tasks, and no metric. So the metric is known only of benchmarks that have one.
"""

from collections.abc import Iterator
from dataclasses import replace

from zoo.claims.card_yaml import CardValue, read_yaml
from zoo.claims.data_sets import find_data_set
from zoo.claims.known_data import ONLY_METRICS
from zoo.claims.published import PublishedClaim, PublishedClaims
from zoo.errors import RecipeError

PATTERN = ".eval_results/*.yaml"


def read_eval_results(text: str, path: str) -> PublishedClaims:
    """Return the claims of one file.

    Args:
        text: The content.
        path: The file, for positions.
    """
    try:
        root = read_yaml(text, path)
    except RecipeError as error:
        return PublishedClaims(name=path, claims=(), problems=tuple(error.problems))
    if root.text:
        root.report("the file must be a list of entries with 'dataset' and 'value'")
    return PublishedClaims(name=path, claims=tuple(_claims(root)), problems=tuple(root.problems))


def _claims(entries: CardValue) -> Iterator[PublishedClaim]:
    for entry in entries:
        data, value = entry["dataset"], entry["value"]
        if not data["id"] or not value.text:
            entry.report("an entry needs 'dataset' with an 'id', and a 'value'")
            continue
        claim = PublishedClaim(
            metric="",
            text=value.text,
            mark=value.mark,
            dataset=data["id"].text,
            config=data["task_id"].text,
            revision=data["revision"].text,
            source=(entry["source"]["url"] or entry["source"]["name"]).text,
            has_badge=bool(entry["verifyToken"]),
        )
        yield replace(claim, metric=_only_metric(claim))


def _only_metric(claim: PublishedClaim) -> str:
    data = find_data_set(claim)
    return ONLY_METRICS.get((data.id, data.config), "") if data else ""
