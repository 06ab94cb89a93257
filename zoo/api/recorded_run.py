"""A recorded run as tables: its scores, its training log, and its predictions of every example."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.records.arrays import read_arrays
from harness.records.record import Record, verify_files
from harness.records.record import read_record as read_record_file
from harness.records.training_log import LOG
from zoo.errors import SourceError, UsageError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RunTables:
    """One recorded run.

    Attributes:
        path: The record file. The predictions are beside it, and of a training on this machine the weights and the log.
        record: The content of the record file.
    """

    path: Path
    record: Record

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each score."""
        import pandas as pd

        rows = [
            (result.split, metric, score["value"], result.n, result.selection)
            for result in self.record.results
            for metric, score in result.metrics.items()
        ]
        return pd.DataFrame(rows, columns=["split", "metric", "value", "n", "epoch"])

    def predictions_frame(self, split: str | None = None) -> "pd.DataFrame":
        """Return a table with one row for each scored example, in the order of the split.

        An array `(N,)` is a column, such as `prediction` and `label`. An array `(N, C)` is C columns, such as `logit_0`
        and `logit_1`. For one class per example, the column `right` says whether the prediction is the label.

        Args:
            split: The split. Default: the first one of the record.

        Raises:
            UsageError: The record has no such split, or its arrays are no table: boxes, answers, tags, segmentations.
            IntegrityError: The file of predictions is damaged.
        """
        import pandas as pd

        splits = [result.split for result in self.record.results]
        result = self.record.result(splits[0] if split is None else split)
        if result is None:
            raise UsageError(f"{self.path} has no split {split!r}{did_you_mean(str(split), splits)}")
        file = self.path.parent / result.predictions["file"]
        columns: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {}
        for name, array in read_arrays(file).items():
            if array.ndim > 2:
                raise UsageError(f"{file}: the array {name!r} {array.shape} is no table; numpy.load reads the file")
            singular = name.removesuffix("s")
            parts = (
                {singular: array} if array.ndim == 1 else {f"{singular}_{i}": part for i, part in enumerate(array.T)}
            )
            columns |= parts
        if "label" in columns and columns["label"].dtype.kind in "iu":
            columns["right"] = columns["prediction"] == columns["label"]
        return pd.DataFrame(columns).rename_axis("row")

    def log_frame(self) -> "pd.DataFrame":
        """Return the training log: one row for each step, and one for each epoch that was scored.

        The columns are those of `log.jsonl`, such as `step`, `epoch`, `rate`, `losses.total` and
        `scores.test.accuracy`. A cell is empty where a line of the log has no such value.

        Raises:
            SourceError: There is no log: nothing was trained, or the log was not kept with the record.
        """
        import pandas as pd

        log = self.path.parent / LOG
        try:
            lines = log.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise SourceError(
                f"{log}: {error.strerror or error}; only trainings on this machine have a log, not evaluations or"
                " committed records"
            ) from None
        return pd.json_normalize([json.loads(line) for line in lines])


def tables_of(path: Path) -> RunTables:
    """Return a run, after a check of its record and of the files beside it."""
    record = read_record_file(path)
    verify_files(path, record)
    return RunTables(path, record)
