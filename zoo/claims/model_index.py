"""Read the claims in the front matter of a model card: its `model-index`.

The specification is huggingface/hub-docs, modelcard.md. Cards differ from it in many ways, and a claim that cannot be
read never hides the others.
"""

import re
from collections.abc import Iterator

from zoo.claims.card_yaml import CardValue, read_yaml
from zoo.claims.published import PublishedClaim, PublishedClaims
from zoo.errors import RecipeError

_FRONT_MATTER = re.compile(r"\A(\ufeff?\s*---[ \t]*\r?\n)(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_NO_SCORES = re.compile(
    r"((eval|test|val|valid|validation|dev|train|training)[ _/-])*"
    r"(loss|runtime|samples_per_second|steps_per_second|epoch|perplexity)"
)


def read_model_index(text: str, path: str) -> PublishedClaims:
    """Return the claims of a model card.

    Args:
        text: The card.
        path: Its file, for positions.
    """
    try:
        card = read_front_matter(text, path)
    except RecipeError as error:
        return PublishedClaims(name=path, claims=(), problems=tuple(error.problems))
    if card is None:
        return PublishedClaims(name=path, claims=())
    found_claims = list(_claims(card["model-index"]))
    return PublishedClaims(
        name=path,
        claims=tuple(claim for claim in found_claims if not is_no_score(claim.metric)),
        no_scores=tuple(claim for claim in found_claims if is_no_score(claim.metric)),
        problems=tuple(card.problems),
    )


def read_front_matter(text: str, path: str) -> CardValue | None:
    """Return the YAML at the start of a card; None if there is none.

    Args:
        text: The card.
        path: Its file, for positions.

    Raises:
        RecipeError: It is not YAML.
    """
    found = _FRONT_MATTER.match(text)
    if found is None or not found[2].strip():
        return None
    return read_yaml(found[2], path, found[1].count("\n") + 1)


def _claims(models: CardValue) -> Iterator[PublishedClaim]:
    if models.text:
        models.report("model-index must be a list of models")
    for model in models:
        for result in model["results"]:
            for metric in result["metrics"]:
                claim = _claim(model, result, metric)
                if claim is not None:
                    yield claim


def _claim(model: CardValue, result: CardValue, metric: CardValue) -> PublishedClaim | None:
    name, value = metric["type"].text or metric["name"].text, metric["value"]
    if not metric.is_mapping or not name:
        metric.report("a metric needs a 'type', such as accuracy, and a 'value'")
    elif not value.text:
        metric.report(f"the metric {name!r} has no value that is a number")
    else:
        data, args = result["dataset"], result["dataset"]["args"]
        return PublishedClaim(
            metric=_more_precise(name, metric["name"].text),
            text=value.text,
            mark=value.mark,
            average=(metric["args"]["average"] or metric["average"]).text,
            task=result["task"]["type"].text,
            dataset=data["type"].text,
            dataset_name=data["name"].text,
            config=data["config"].text or (args["config"] or args["name"] or args).text or metric["config"].text,
            split=(data["split"] or args["split"]).text,
            revision=data["revision"].text,
            n=_count(data["num_examples"] or args["num_examples"]),
            model=model["name"].text,
            source=(result["source"]["url"] or result["source"]["name"]).text,
            has_badge=bool(metric["verifyToken"]) or metric["verified"].text.lower() == "true",
        )
    return None


def is_no_score(metric: str) -> bool:
    """Return whether a metric is a loss, a time or a speed, which nobody can compare."""
    return _NO_SCORES.fullmatch(metric.strip().lower()) is not None


def _more_precise(kind: str, name: str) -> str:
    """Return the name for readers where it says more about the metric: `F1 (macro)` for the type `f1`."""
    return name if kind.lower() in name.lower() and len(name) > len(kind) else kind


def _count(value: CardValue) -> int | None:
    return int(value.text) if value.text.isdecimal() and len(value.text) < 12 else None
