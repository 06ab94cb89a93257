"""A run as entries of `.eval_results/*.yaml` in a model's repository, which benchmarks on the Hub show.

The format: https://huggingface.co/docs/hub/eval-results
"""

import json
from collections.abc import Sequence
from typing import Any

from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from harness.publishing.scores import SOURCE, PublishedScore
from harness.publishing.yaml_lists import Lines, dump, is_editable, load, replace_items
from zoo.errors import UsageError
from zoo.safe_text import one_line

FOLDER = ".eval_results"
PERCENT = (
    "accuracy", "top5_accuracy", "f1", "f1_micro", "f1_macro", "mean_iou", "pixel_accuracy", "average_precision",
    "average_precision_50", "average_precision_75", "average_precision_small", "average_precision_medium",
    "average_precision_large", "average_recall",
)  # fmt: skip
"""Metrics whose entries are in percent, as benchmarks show them. Correlations stay between -1 and 1."""


def entries_of(scores: Sequence[PublishedScore], source_url: str) -> list[dict[str, Any]]:
    """Return one entry for each split, with its first score: the claimed one, if there is a claim.

    Raises:
        UsageError: The data set is not on the Hub.
    """
    chosen: dict[Any, PublishedScore] = {}
    for score in sorted(scores, key=lambda score: score.judgement is None):
        data = score.data_set
        chosen.setdefault((data.split, data.task, repr(data.holdout), data.rows), score)
    return eval_result_entries_to_yaml([_entry(score, source_url) for score in chosen.values()])


def file_name(scores: Sequence[PublishedScore]) -> str:
    """Return the path of the file in the model's repository."""
    data = scores[0].data_set
    name = "-".join(filter(None, ["zoo", data.type.rpartition("/")[2], data.config]))
    return f"{FOLDER}/{name}.yaml"


def with_entries(text: str, entries: Sequence[dict[str, Any]], where: str) -> str:
    """Return a file with our entries; those of other sources are unchanged.

    Args:
        text: The present content; empty for a new file.
        entries: Our entries. They take the place of our earlier ones for the same task.
        where: The file, for messages.

    Raises:
        UsageError: The content is not a list in YAML.
    """
    present = load(text, where) if text.strip() else []
    if not isinstance(present, list):
        raise UsageError(f"{where}: not a list of results")
    root = Lines.parse(text, where).root
    if root is not None and is_editable(root):
        return replace_items(text, root, lambda item: _is_ours(item, entries), entries, present)
    return dump([*(item for item in present if not _is_ours(item, entries)), *entries])


def _entry(score: PublishedScore, source_url: str) -> EvalResultEntry:
    data = score.data_set
    if not data.is_on_hub:
        raise UsageError(
            f"the data set {data.name!r} is not on the Hub, which .eval_results require; publish elsewhere"
        )
    return EvalResultEntry(
        dataset_id=data.type,
        task_id=data.config or "default",
        value=round(100 * score.value, 4) if score.metric in PERCENT else round(score.value, 6),
        dataset_revision=data.revision,
        date=score.date[:10] if score.date else None,
        source_url=source_url,
        source_name=SOURCE,
        notes=_notes(score),
    )


def _notes(score: PublishedScore) -> str:
    """Return the notes: the unit, rows and metric, which `zoo.claims.eval_results` reads, and then a sentence."""
    data = score.data_set
    parts = ["percent"] if score.metric in PERCENT else []
    parts += [f"split {data.split}"]
    parts += [f"task {data.task}"] if data.task else []
    parts += [f"holdout {json.dumps(dict(data.holdout), sort_keys=True)}"] if data.holdout else []
    parts += [f"rows {data.rows.replace('; ', ', ')}"] if data.rows else []
    return one_line("; ".join([*parts, f"metric {score.title}", score.notes]))


def _is_ours(item: Any, entries: Sequence[dict[str, Any]]) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("source"), dict):
        return False
    return item["source"].get("name") == SOURCE and any(_task(item) == _task(entry) for entry in entries)


def _task(item: dict[str, Any]) -> Any:
    """Return the task and the split that an entry is about."""
    dataset, notes = item.get("dataset"), str(item.get("notes"))
    rows = [part for part in notes.split("; ") if part.startswith(("split ", "task ", "holdout ", "rows "))]
    return (dataset.get("id"), dataset.get("task_id"), rows) if isinstance(dataset, dict) else None
