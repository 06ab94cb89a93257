"""A run as results of `model-index` in the front matter of a model card, beside those of its author.

The format: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub.repocard import REGEX_YAML_BLOCK

from harness.publishing.scores import SOURCE, PublishedScore
from harness.publishing.yaml_lists import Lines, dump, is_editable, last_line, load, replace_items, value_of
from zoo.errors import UsageError
from zoo.safe_text import one_line

KEY = "model-index"


def result_blocks(scores: Sequence[PublishedScore], source_url: str) -> list[dict[str, Any]]:
    """Return the results of `model-index` for scores: one for each split, with our own `source`."""
    blocks: dict[tuple[str, str], dict[str, Any]] = {}
    for score in scores:
        head = _head(score)
        key = (repr(head), score.result.selection)
        block = blocks.setdefault(key, {**head, "metrics": [], "source": {"name": SOURCE, "url": source_url}})
        block["metrics"].append(
            {
                "type": score.hub_metric,
                "value": score.value,
                "name": score.title,
                "args": {**score.arguments, **score.facts},
            }
        )
    return list(blocks.values())


def with_results(
    card: str, model: str, blocks: Sequence[Mapping[str, Any]], where: str = "the card", *, is_own_card: bool = False
) -> str:
    """Return a card with our results; those of other sources and every other line are unchanged.

    Args:
        card: The text of the card.
        model: The name of the model. If the index has models, and none of this name, it is added.
        blocks: Our results. They take the place of our earlier results for the same rows, but for other metrics of
            the same run.
        where: The file, for messages.
        is_own_card: Whether the card is that of the model's repository, so that an only model in its index is this one,
            whatever its name. As one of two models, the results of the author would be those of another model.

    Raises:
        UsageError: The front matter is no YAML, or its `model-index` has another form.
    """
    found = REGEX_YAML_BLOCK.search(card)
    if found is None:
        return f"---\n{dump({KEY: [{'name': model, 'results': list(blocks)}]})}---\n{card}"
    front, start = found.group(2), found.start(2)
    model = _only_name(front, where) or model if is_own_card else model
    ends = "\r\n" if found.group(1).endswith("\r\n") else "\n"
    changed = _changed_front(front, model, blocks, where).rstrip("\r\n")
    _check_unchanged(front, changed, model, blocks, where)
    changed = changed.replace("\r\n", "\n").replace("\n", ends)
    return card[:start] + changed + card[found.end(2) :]


def is_ours(block: Any, blocks: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a result is one that zoo wrote for the rows of one of these results."""
    if not isinstance(block, dict) or not isinstance(block.get("source"), dict):
        return False
    return block["source"].get("name") == SOURCE and any(_rows(block) == _rows(new) for new in blocks)


def _rows(block: Mapping[str, Any]) -> Any:
    """Return which rows a result is about; the revision of the data may differ."""
    dataset = block.get("dataset")
    named = dataset if isinstance(dataset, dict) else {}
    return block.get("task"), [named.get(name) for name in ("type", "config", "split", "args")]


def _head(score: PublishedScore) -> dict[str, Any]:
    data = score.data_set
    arguments: dict[str, Any] = (
        {"holdout": dict(data.holdout)} if data.holdout else {"task": data.task} if data.task else {}
    )
    arguments |= {"rows": data.rows, "num_examples": score.result.n} if data.rows else {}
    fields = {
        "name": data.name, "type": data.type, "config": data.config, "split": data.split, "revision": data.revision,
        "args": arguments or None,
    }  # fmt: skip
    return {"task": {"type": score.task_type}, "dataset": {name: value for name, value in fields.items() if value}}


def _changed_front(front: str, model: str, blocks: Sequence[Mapping[str, Any]], where: str) -> str:
    lines = Lines.parse(front, where)
    data = load(front, where) or {}
    if not isinstance(data, dict):
        raise UsageError(f"{where}: the front matter is not a mapping")
    if lines.root is None or value_of(lines.root, KEY) is None or not data.get(KEY):
        bare = _without(front, lines, where)
        return f"{bare}{dump({KEY: [{'name': model, 'results': list(blocks)}]})}"
    index, node = data[KEY], value_of(lines.root, KEY)
    number = _model_number(index, model, where)
    if number is None:
        added = {"name": model, "results": list(blocks)}
        if node is not None and is_editable(node):
            return replace_items(front, node, lambda _: False, [added], index)
        return f"{_without(front, lines, where)}{dump({KEY: [*index, added]})}"
    return _with_model_results(front, lines, index, number, _merged(blocks, _results(index[number])), where)


def _with_model_results(
    front: str, lines: Lines, index: list[Any], number: int, blocks: Sequence[Mapping[str, Any]], where: str
) -> str:
    """Return the front matter with our results in one model of its index."""
    node, present = value_of(lines.root, KEY) if lines.root else None, _results(index[number])
    is_list = node is not None and is_editable(node)
    results = value_of(node.value[number], "results") if is_list and node is not None else None
    if results is not None and is_editable(results):
        return replace_items(front, results, lambda item: is_ours(item, blocks), blocks, present)
    if is_list and len(index) > 1:
        raise UsageError(
            f"{where}: the results of model {number + 1} in {KEY} are no list in lines, one item a line; add the block"
            " of --out by hand"
        )
    index[number]["results"] = [*(item for item in present if not is_ours(item, blocks)), *blocks]
    return f"{_without(front, lines, where)}{dump({KEY: index})}"


def _merged(blocks: Sequence[Mapping[str, Any]], present: Sequence[Any]) -> list[dict[str, Any]]:
    """Return our results with the other metrics of the same run that were published earlier."""
    return [{**block, "metrics": _metrics(block, present)} for block in blocks]


def _metrics(block: Mapping[str, Any], present: Sequence[Any]) -> list[dict[str, Any]]:
    keys = {metric["args"]["record_key"] for metric in block["metrics"]}
    earlier = [metric for item in present if is_ours(item, [block]) for metric in item.get("metrics") or []]
    of_run = [
        metric
        for metric in earlier
        if isinstance(metric, dict)
        and isinstance(metric.get("args"), dict)
        and metric["args"].get("record_key") in keys
    ]
    return list({_metric_key(metric): metric for metric in (*of_run, *block["metrics"])}.values())


def _metric_key(metric: Mapping[str, Any]) -> str:
    """Return which metric of a run a result is about, also if an earlier version left out the arguments in its name."""
    name = str(metric.get("name"))
    if "log_of" in metric["args"]:
        return name
    return re.sub(r"[^a-z0-9]", "", re.sub(r" \(.*\)$| score$", "", name))


def _only_name(front: str, where: str) -> str:
    """Return the name of the only model in an index; an empty text if there are none or several, or it has no name."""
    data = load(front, where)
    index = data.get(KEY) if isinstance(data, dict) else None
    names = [item.get("name") for item in index if isinstance(item, dict)] if isinstance(index, list) else []
    return names[0] if len(names) == 1 and isinstance(names[0], str) else ""


def _model_number(index: Any, model: str, where: str) -> int | None:
    """Return the position of a model in the index: the one of this name, or an only one without a name; else None."""
    if not isinstance(index, list) or not all(isinstance(item, dict) for item in index):
        raise UsageError(f"{where}: {KEY} is not a list of models")
    for item in index:
        if not isinstance(item.get("results") or [], list):
            raise UsageError(f"{where}: the results in {KEY} are not a list")
    only = 0 if len(index) == 1 and not index[0].get("name") else None
    return next((number for number, item in enumerate(index) if item.get("name") == model), only)


def _without(front: str, lines: Lines, where: str) -> str:
    """Return the front matter without `model-index`, ready for more lines."""
    pairs = lines.root.value if lines.root is not None else []
    if getattr(lines.root, "flow_style", False):
        raise UsageError(f"{where}: the front matter is one {{...}}; write it in lines, one key a line")
    kept = front.splitlines(keepends=True)
    for name, value in pairs:
        if getattr(name, "value", None) == KEY:
            last = max(last_line(value), name.start_mark.line)
            kept[name.start_mark.line : last + 1] = [""] * (last + 1 - name.start_mark.line)
    text = "".join(kept)
    return text if not text or text.endswith("\n") else f"{text}\n"


def _check_unchanged(before: str, after: str, model: str, blocks: Sequence[Mapping[str, Any]], where: str) -> None:
    """Raise UsageError unless a changed front matter has all that it had, and our results."""
    old, new = load(before, where) or {}, load(after, where)
    others = _others(old.get(KEY) or [], model, blocks, where)
    kept = _others(new[KEY], model, blocks, where)
    if len(kept) > len(others):
        others.append({"name": model, "results": []})
    ours = [r for r in _results(new[KEY][_model_number(new[KEY], model, where) or 0]) if is_ours(r, blocks)]
    rest = [{name: value for name, value in data.items() if name != KEY} for data in (old, new)]
    if repr(rest[0]) != repr(rest[1]) or repr(others) != repr(kept) or len(ours) != len(blocks):
        raise UsageError(f"{where}: {KEY} has a form that cannot be changed safely; add the block of --out by hand")


def _others(index: Any, model: str, blocks: Sequence[Mapping[str, Any]], where: str) -> list[dict[str, Any]]:
    """Return an index without our results for a model."""
    number = _model_number(index, model, where)
    return [
        {**item, "results": [r for r in _results(item) if place != number or not is_ours(r, blocks)]}
        for place, item in enumerate(index)
    ]


def _results(model: Mapping[str, Any]) -> list[Any]:
    return model.get("results") or []


def model_name(record_name: str, repository: str | None) -> str:
    """Return the name of a model in an index: that of its repository, or of its recipe."""
    return one_line(repository.rpartition("/")[2] if repository else record_name)
