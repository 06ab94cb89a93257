"""The names of the training log and its picture, and whether it has the scores of each epoch. Never imports torch."""

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from harness.records.find_runs import is_among
from harness.records.record import read_record

LOG = "log.jsonl"
PICTURE = "curves.svg"
"""The picture of the log."""


def without_epoch_scores(records: Iterable[Path], earlier: Mapping[Path, int]) -> list[Path]:
    """Return the records of trainings that existed earlier and whose epochs were not scored on every scored split.

    Args:
        records: The record files.
        earlier: What `record_times` returned. A training made since then has scores of its epochs if it has whole
            epochs.
    """
    return [
        path
        for path in records
        if is_among(path, earlier)
        and not _has_epoch_scores(path.parent / LOG, {result.split for result in read_record(path).results})
    ]


def _has_epoch_scores(log: Path, splits: Collection[str]) -> bool:
    with suppress(OSError, ValueError):
        for line in log.read_text(encoding="utf-8").splitlines():
            if '"scores"' in line and set(splits) <= set(json.loads(line)["scores"]):
                return True
    return False
