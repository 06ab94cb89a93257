"""Write a recipe for claims of a model card: YAML with comments on what was declared, assumed and chosen."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from zoo.claims.mapping.map_claims import ClaimGroup, MappedClaim, MappedClaims, UnmappedClaim
from zoo.claims.mapping.model_facts import ModelFacts
from zoo.claims.stored_recipes import card_name
from zoo.class_names import has_names
from zoo.safe_text import one_line

MAX_NAME, MAX_DATA = 100, 40
"""Characters of the name of a recipe, and of the data set in it."""
MAX_TEXT = 200
"""Characters of a text of the card in a comment or a source."""


def recipe_text(group: ClaimGroup, mapped: MappedClaims, *, alone: bool) -> str:
    """Return a recipe.

    Args:
        group: The claims of the recipe.
        mapped: All claims of the model.
        alone: Whether it is the only recipe of the model, and so lists the claims that cannot be compared.
    """
    assert mapped.model is not None
    comments = [*_comments(group, mapped.model, mapped), *(_unmapped_comments(mapped.unmapped) if alone else [])]
    head = "\n".join(dict.fromkeys(f"# {one_line(comment)}" for comment in comments))
    keys = {"name": recipe_name(group, mapped), **_calls(group, mapped.model)}
    lines = [f"{key}: {_flow(value)}" for key, value in keys.items()]
    return "\n".join([head, *lines, "claims:", *(line for each in group.claims for line in _claim(each, mapped)), ""])


def recipe_name(group: ClaimGroup, mapped: MappedClaims) -> str:
    """Return the name of a recipe: OWNER--NAME, and which of several recipes it is."""
    part = part_of_card(group, mapped)
    suffix = f"--{part}" if part else ""
    return f"{card_name(mapped.repo.name)[: MAX_NAME - len(suffix)]}{suffix}"


def part_of_card(group: ClaimGroup, mapped: MappedClaims) -> str:
    """Return which of several recipes a group is: its data set, with a number if several have it; empty for one."""
    if len(mapped.groups) == 1:
        return ""
    same = [other for other in mapped.groups if other.target.name == group.target.name]
    data = re.sub(r"[^\w.-]+", "-", group.target.name.partition("/")[2], flags=re.ASCII)[:MAX_DATA]
    return f"{data}{f'-{same.index(group) + 1}' if len(same) > 1 else ''}"


def _comments(group: ClaimGroup, model: ModelFacts, mapped: MappedClaims) -> Iterator[str]:
    target = group.target
    yield f"Written by zoo from the card of {mapped.repo.name} at commit {mapped.repo.revision}. Edit it as you like."
    first = group.claims[0].claim
    declared = ", ".join(f"{key} {value}" for key, value in _declared(first))
    yield f"declared: {declared}"
    yield f"found: the data set {target.name}"
    yield from (note if note.startswith("assumed: ") else f"found: {note}" for note in target.notes)
    for each in group.claims:
        if each.split.why != "declared":
            yield f"{each.split.why}; chosen: {each.split.name} (for {each.claim.metric})"
        if each.metric.assumed:
            yield f"assumed: {each.claim.metric} is {each.metric.assumed}"
        if each.score.is_percent:
            yield f"assumed: {each.claim.text} is in per cent"
    if first.revision:
        yield f"declared: revision {first.revision} of the data set; chosen: the rows at the pinned commit"
    if model.has_classes and not has_names(model.classes):
        yield f"assumed: {', '.join(model.classes[:8])} are the classes of the data set in its order"
    if model.max_length:
        yield f"chosen: max_length {model.max_length} ({model.length_source})"


def _declared(claim: Any) -> Iterator[tuple[str, str]]:
    for key in ("model", "task", "dataset", "dataset_name", "config", "split"):
        if value := getattr(claim, key):
            yield key.replace("_", " "), value[:MAX_TEXT]


def _unmapped_comments(unmapped: Iterable[UnmappedClaim]) -> Iterator[str]:
    for each in unmapped:
        yield f"not compared: {each.claim.metric[:MAX_TEXT]} = {each.claim.text[:MAX_TEXT]}: {each.error}"


def _calls(group: ClaimGroup, model: ModelFacts) -> dict[str, Any]:
    target, repo = group.target, str(model.repo)
    task = dict(target.task)
    if target.chooses_splits:
        scored = list(dict.fromkeys(each.split.name for each in group.claims))
        task |= {"splits": [*(["train"] if "train" in target.splits and "train" not in scored else []), *scored]}
        task |= {"scored": scored}
    calls: dict[str, Any] = {"task": task, "model": model.model, "weights": repo}
    if model.max_length:
        task |= {"max_length": model.max_length}
        calls = {"task": task, "tokenizer": {"use": "published", "of": repo}, "model": model.model, "weights": repo}
    metrics = {each.metric.name: each.metric for each in group.claims}
    written = [{"use": each.use, **dict(each.arguments)} if each.arguments else each.use for each in metrics.values()]
    return {**calls, "metrics": written}


def _claim(each: MappedClaim, mapped: MappedClaims) -> Iterator[str]:
    mark = each.claim.mark
    where = f"{mapped.repo.name}, {mark.path.rpartition('/')[2]}, line {mark.line}"
    by = f"; measured by {each.claim.source}" if each.claim.source else ""
    badge = "; with a badge of the Hub, which nobody can check" if each.claim.has_badge else ""
    claim: dict[str, Any] = {"of": "weights", "split": each.split.name, "metric": each.metric.name}
    claim |= {"n": each.claim.n} if each.claim.n else {}
    source = _flow(one_line(f"{where}{by}{badge}")[:MAX_TEXT])
    score = f"value: {each.score.text}, decimals: {each.score.decimals}"
    yield f"  - {_flow(claim)[:-1]}, {score},"
    yield f"     source: {source}}}"


def _flow(value: Any) -> str:
    """Return a value as YAML on one line; texts that YAML could read otherwise are quoted."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./@-]*(:[\w./@-]+)?", value, re.ASCII):
        plain = yaml.safe_load(value)
        if plain == value:
            return value
    style = '"' if isinstance(value, str) else None
    return yaml.safe_dump(value, default_style=style, width=10_000, allow_unicode=True).strip().removesuffix("\n...")
