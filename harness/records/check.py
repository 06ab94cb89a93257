"""Check a record against the files beside it: their digests, and the scores, computed again from the predictions."""

import hashlib
import importlib
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.library_metrics import from_library, is_library_metric
from harness.metrics import Array, Metric, measure, reads
from harness.records.arrays import from_cut, read_arrays, rows_not_finite, score_tolerance
from harness.records.contradictions import contradiction
from harness.records.digests import RECORD_DIGEST, json_digest
from harness.records.find_runs import read_all
from harness.records.record import ADVICE, LOOKS, Record, RecordedRun, Result, read_record, verify_files
from zoo.errors import IntegrityError, SourceError, ZooError
from zoo.recipes.allowed import is_allowed, namespace_of
from zoo.recipes.metric_names import metric_name

OUR_TASKS = "zoo.tasks"
MASK_MAKERS = ("commit", "dirty", "python", "platform", "cpu", "packages")
"""The parts of the environment that can change how masks are drawn and resized."""


def verify_record(path: Path, record: Record) -> None:
    """Check that a record says what its files say.

    Metrics that a recipe may use without `--trust` are computed again from the predictions. Any other metric is not:
    its code would have to be trusted.

    Raises:
        IntegrityError: A file or a result differs from its digest, or a score from that of the predictions.
        UsageError: The predictions are larger than ZOO_MAX_PREDICTIONS.
    """
    verify_together([(path, record)])


def verify_all(root: Path) -> list[tuple[Path, Record]]:
    """Return every record below a folder, checked like `verify_record`, and with the same labels for the same rows."""
    records = read_all(root)
    verify_together(records)
    return records


def verify_together(records: Iterable[tuple[Path, Record]]) -> None:
    """Check records, and that those of the same rows have the same labels.

    The masks of a segmentation are compared only between records of the same software and kind of machine.

    Raises:
        IntegrityError: A record or one of its files was changed, or two records have other labels for the same rows.
    """
    for _, error in faults(records):
        raise error


def faults(records: Iterable[tuple[Path, Record]]) -> Iterator[tuple[Path, ZooError]]:
    """Yield the records that were changed, or whose files were, each with its error; see `verify_together`.

    Of the records of the same rows, those whose labels differ from the labels of most runs are yielded; all of them if
    no labels are those of most runs.
    """
    by_rows: dict[str, dict[str, list[RecordedRun]]] = {}
    for path, record in records:
        try:
            labels_of_rows = _labels_of_whole_run(path, record)
        except ZooError as error:
            yield path, error
            continue
        for rows, labels in labels_of_rows:
            by_rows.setdefault(rows, {}).setdefault(labels, []).append((path, record))
    for by_labels in by_rows.values():
        yield from _with_other_labels(list(by_labels.values()))


def _with_other_labels(groups: list[list[RecordedRun]]) -> Iterator[tuple[Path, IntegrityError]]:
    """Yield the runs whose labels are not the usual ones.

    Args:
        groups: The runs of the same rows, by their labels. Copies of a run count once.
    """
    sizes = [len({(record.entry, record.identity.key) for _, record in group}) for group in groups]
    is_clear = sizes.count(max(sizes)) == 1
    for number, group in enumerate(groups) if len(groups) > 1 else ():
        if is_clear and sizes[number] == max(sizes):
            continue
        other = groups[sizes.index(max(sizes))] if is_clear else groups[number - 1]
        for path, _ in group:
            named = " and ".join(map(str, dict.fromkeys((other[0][0], path))))
            yield path, IntegrityError(f"{named}: the predictions have different labels for the same rows; {ADVICE}")


def problems(record: Record, result: Result, arrays: Mapping[str, Array]) -> Iterator[str]:
    """Yield what a result of a record says that the arrays of its predictions do not."""
    split, n = result.split, len(next(iter(arrays.values())))
    rows = record.identity.sources["data"].get(split, {}).get("rows", n)
    if n != result.n:
        yield f"{split}: recorded {result.n:,} examples, but {n:,} were predicted"
    if n != rows:
        yield f"{split}: recorded {rows:,} rows of data, but {n:,} were predicted"
    if _is_our_task(record) and (found := contradiction(arrays)):
        yield f"{split}: {found}"
    undefined = rows_not_finite(arrays) > 0
    for name, recorded in result.metrics.items():
        yield from _wrong_scores(record, f"{name} on {split!r}", name, recorded, {} if undefined else arrays)


def _labels_of_whole_run(path: Path, record: Record) -> list[tuple[str, str]]:
    """Check a record; if another run has taken its place meanwhile, as `--fresh` does, check that one."""
    for _ in range(LOOKS):
        try:
            return list(_verified_labels(path, record))
        except (IntegrityError, SourceError):
            before, record = record, read_record(path)
            if record == before:
                raise
    raise IntegrityError(f"{path}: other runs take the place of this one all the time")


def _verified_labels(path: Path, record: Record) -> Iterator[tuple[str, str]]:
    """Check a record, and yield for each result a text that names its rows, and a digest of their labels."""
    if not record.record_sha256 and not record.may_lack_digests:
        raise IntegrityError(f"{path}: the record has no {RECORD_DIGEST}, which version 0.2 and later write; {ADVICE}")
    verify_files(path, record)
    for result in record.results:
        arrays = from_cut(read_arrays(path.parent / result.predictions["file"]), result.cut)
        for problem in problems(record, result, arrays):
            raise IntegrityError(f"{path}: {problem}; {ADVICE}")
        rows, labels = record.identity.sources["data"].get(result.split), _labels(arrays)
        if rows is not None and labels is not None and _is_our_task(record):
            yield json_digest([record.recipe["task"], rows, *_mask_makers(record, arrays)]), labels


def _labels(arrays: Mapping[str, Array]) -> str | None:
    """Return a digest of the labels; for a segmentation, of the number of pixels of each class in each image."""
    found = arrays.get("objects", arrays.get("labels"))
    if "confusion" in arrays and not rows_not_finite(arrays):
        found = arrays["confusion"].sum(axis=2)
    if found is None:
        return None
    return hashlib.sha256(np.ascontiguousarray(found, dtype=np.float64).tobytes()).hexdigest()


def _mask_makers(record: Record, arrays: Mapping[str, Array]) -> list[Any]:
    """Return what decides the pixels of masks besides their files; nothing for labels that the digest of rows covers.

    Other versions of torchvision or pycocotools may resize or draw the same mask differently.
    """
    return [record.environment.get(name) for name in MASK_MAKERS] if "confusion" in arrays else []


def _wrong_scores(
    record: Record, what: str, name: str, recorded: Mapping[str, float | None], arrays: Mapping[str, Array]
) -> Iterator[str]:
    """Yield how a recorded score differs from that of the arrays; without arrays it must be undefined."""
    value, step = math.nan, math.nan
    if arrays:
        path, arguments = _metric_call(record, name)
        metric = _metric(path, arguments)
        if metric is None and _needs_trust(record, path):
            return
        missing = [] if metric is None else [array for array in reads(metric) if array not in arrays]
        if metric is None or missing:
            because = f"the predictions beside it lack {missing[0]!r}" if missing else "the recipe has no such metric"
            yield f"{what}: recorded {recorded['value']}, but {because}"
            return
        value, step = _measure(metric, arrays)
    for part, expected, found in (
        ("", recorded["value"], value),
        (", one prediction", recorded["one_prediction"], step),
    ):
        if not _is_equal(expected, found, score_tolerance(arrays)):
            yield f"{what}{part}: recorded {expected}, but the predictions beside it give {found:.6g}"


def _metric_call(record: Record, name: str) -> tuple[str, Mapping[str, Any]]:
    """Return the import path and the arguments of a recorded metric."""
    calls = {metric_name(call): call for call in record.recipe.get("metrics") or ()}
    if calls and name not in calls:
        return name, {}
    call = calls.get(name, {"use": name})
    path = call["use"] if "." in call["use"] else f"{namespace_of(call['use'], 'metrics')}.{call['use']}"
    return path, {key: value for key, value in call.items() if key != "use"}


def _metric(path: str, arguments: Mapping[str, Any]) -> Metric | None:
    """Return a metric that needs no trust; None for any other."""
    if not is_allowed(path, "metrics"):
        return None
    module, _, name = path.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    if is_library_metric(function):
        return from_library(function, **arguments)
    return partial(function, **arguments) if arguments else function


def _needs_trust(record: Record, path: str) -> bool:
    """Return whether a metric that is not computed again can be one of code that the user trusted."""
    is_named = any(call["use"] == path and "." in path for call in record.recipe.get("metrics") or ())
    return is_named or (not record.recipe.get("metrics") and not _is_our_task(record))


def _is_our_task(record: Record) -> bool:
    use = str(record.recipe.get("task", {"use": ""})["use"])
    return "." not in use or use.startswith(f"{OUR_TASKS}.")


def _measure(metric: Metric, arrays: Mapping[str, Array]) -> tuple[float, float]:
    """Return the value of a metric and the effect of one prediction; NaN if it cannot be computed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return measure(metric, arrays)
    except Exception:  # arguments and arrays of an edited record fail in many ways
        return math.nan, math.nan


def _is_equal(recorded: float | None, found: float, tolerance: float) -> bool:
    if recorded is None or not math.isfinite(found):
        return recorded is None and not math.isfinite(found)
    return abs(recorded - found) <= tolerance
