"""Read the claims in a file of a model's folder `.eval_results`, the format of the Hub's community evaluations.

An entry names a data set and one of its tasks, and no metric. So the metric is known only of benchmarks that have one,
and of entries that zoo has written: their notes begin with the unit, the split and the metric.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from zoo.claims.card_yaml import CardValue, read_yaml
from zoo.claims.data_sets import find_data_set
from zoo.claims.known_data import ONLY_METRICS
from zoo.claims.published import ZOO_SOURCE, PublishedClaim, PublishedClaims
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
        notes = entry["notes"].text.split("; ") if entry["source"]["name"].text == ZOO_SOURCE else []
        yield _with_notes(claim, notes) if notes else replace(claim, metric=_only_metric(claim))


def _with_notes(claim: PublishedClaim, notes: Sequence[str]) -> PublishedClaim:
    """Return a claim with what the notes of an entry of zoo say, see `harness.publishing.eval_results`.

    The metric of rows that zoo cannot read again is left out: of a hold-out, chosen rows, or another tool's task.
    """
    stated = {name: text for name, space, text in (note.partition(" ") for note in reversed(notes)) if space}
    is_readable = not {"holdout", "task", "rows"} & set(stated)
    return replace(
        claim,
        metric=stated.get("metric") or _only_metric(claim) if is_readable else "",
        split=stated.get("split", ""),
        text=f"{claim.text} %" if notes[0] == "percent" else claim.text,
    )


def _only_metric(claim: PublishedClaim) -> str:
    data = find_data_set(claim)
    return ONLY_METRICS.get((data.id, data.config), "") if data else ""
