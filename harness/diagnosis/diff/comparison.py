"""Compare two records: their settings, their scores and their predictions for each example.

Everything is read from the records and the predictions files beside them. `harness.diagnosis.diff.example_data` adds
the texts or images of examples, which needs the data. This module does not import torch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from harness.diagnosis.diff.groups import Groups, single_groups
from harness.diagnosis.diff.intervals import Interval, paired
from harness.diagnosis.diff.no_flips import why_no_flips
from harness.diagnosis.diff.types import Diff, Difference, FlippedExample, MetricChange, SplitDiff
from harness.judging.measure import read_predictions
from harness.judging.paired import (
    Array,
    Flips,
    changes_of_correctness,
    find_flips,
    group_sign_test,
    measure_drift,
)
from harness.metrics import Metric, reads
from harness.records.arrays import from_cut, score_tolerance
from harness.records.record import Record, Result, read_record, verify_files
from zoo.errors import UsageError
from zoo.recipes.fields import FIELDS
from zoo.text_tables import finite

ORDER = ("mode", "seed", "digest", "recipe", "sources", "metric_code", "numerics", "weights", "environment")
"""The order in which differing fields are listed."""


def diff(path_a: Path, path_b: Path, groups: Mapping[str, Groups] | None = None) -> Diff:
    """Compare two records.

    Args:
        path_a: The path of record A.
        path_b: The path of record B.
        groups: The groups of dependent examples of each split. The examples of other splits are independent.

    Raises:
        UsageError: The records have no split in common.
        IntegrityError: A predictions file is not the recorded one.
    """
    a, b = read_record(path_a), read_record(path_b)
    verify_files(path_a, a)
    verify_files(path_b, b)
    pairs = list(_pairs(a, b))
    if not pairs:
        names = [f"{record.entry} has {', '.join(dict.fromkeys(r.split for r in record.results))}" for record in (a, b)]
        raise UsageError(f"these records have no split in common: {' and '.join(names)}")
    _check_imported(a, b, pairs)
    splits = tuple(
        _split_diff((path_a, a, result_a), (path_b, b, result_b), (groups or {}).get(result_a.split))
        for result_a, result_b in pairs
    )
    return Diff(path_a=path_a, path_b=path_b, a=a, b=b, differences=tuple(_differences(a, b)), splits=splits)


def _pairs(a: Record, b: Record) -> Iterator[tuple[Result, Result]]:
    """Yield the results of the same split and selected epoch; else the two of a split, if each record has only one."""
    for split in dict.fromkeys(result.split for result in a.results):
        of_a, of_b = ([result for result in record.results if result.split == split] for record in (a, b))
        same = [(x, y) for x in of_a for y in of_b if x.selection == y.selection]
        yield from same or ([(of_a[0], of_b[0])] if len(of_a) == len(of_b) == 1 else [])


def _check_imported(a: Record, b: Record, pairs: Iterable[tuple[Result, Result]]) -> None:
    """Raise UsageError if imported logs are of other documents, which their predictions do not show."""
    for result, other in pairs if a.imported or b.imported else ():
        if result.metrics.keys() != other.metrics.keys():
            raise UsageError(f"{result.split} has only the scores 0 and 1 in one log, and other numbers in the other")
        rows = [record.identity.sources["data"].get(result.split, {}) for record in (a, b)]
        if rows[0] != rows[1]:
            sizes = " and ".join(f"{of_record.get('rows', 0):,}" for of_record in rows)
            raise UsageError(f"not the same examples: {result.split} has other documents or targets ({sizes} examples)")


def _imported_groups(record: Record, before: Mapping[str, Array], after: Mapping[str, Array]) -> Groups | None:
    """Return the groups of examples that imported logs have, if both have the same."""
    if not record.imported or "groups" not in before or "groups" not in after:
        return None
    if not np.array_equal(before["groups"], after["groups"]):
        raise UsageError("the logs were imported with another --group-by; import both with the same")
    return Groups(ids=before["groups"].astype(np.int64), shared=str(record.imported["groups"]))


Side = tuple[Path, Record, Result]
"""The path of a record, the record, and one of its results."""


def _split_diff(a: Side, b: Side, groups: Groups | None) -> SplitDiff:
    outputs = [read_predictions(path, result) for path, _, result in (a, b)]
    before, after = (from_cut(arrays, side[2].cut) for arrays, side in zip(outputs, (a, b), strict=True))
    groups = groups or _imported_groups(a[1], before, after)
    flipped, drifted, note = None, None, ""
    try:
        drifted = measure_drift(*outputs)  # the outputs of the model, whatever the thresholds
        flipped = find_flips(before, after)
    except UsageError as error:
        note = str(error)
    is_comparable = bool(drifted or flipped) or _have_same_images(before, after) or _have_same_data(a, b, before, after)
    if "predictions" not in before and "predictions" not in after:
        note = why_no_flips(before, _data(a), _data(b), is_comparable=is_comparable)
    by_groups = group_sign_test(changes_of_correctness(before, after), groups.ids) if groups and flipped else None
    return SplitDiff(
        split=a[2].split, selections=(a[2].selection, b[2].selection), n=a[2].n, flips=flipped, drift=drifted,
        metrics=tuple(_changes(a, b, before, after, groups, why="" if is_comparable else note)), note=note,
        groups=groups, p_of_groups=by_groups,
        examples=tuple(_flipped(flipped, before, after)) if flipped else (), labels=before.get("labels"),
    )  # fmt: skip


def _have_same_images(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    """Return whether two segmentations agree on the true pixels of each class in each image, or two detections on the
    objects of each image.
    """
    if "objects" in a and "objects" in b:
        return np.array_equal(a["objects"], b["objects"])
    if "confusion" not in a or "confusion" not in b or a["confusion"].shape != b["confusion"].shape:
        return False
    return np.array_equal(*(arrays["confusion"].sum(axis=2) for arrays in (a, b)))


def _have_same_data(a: Side, b: Side, before: Mapping[str, Array], after: Mapping[str, Array]) -> bool:
    """Return whether two results with arrays of a structured task are of the same rows, by the digest of these."""
    is_structured = not {"predictions", "confusion"} & {*before, *after}
    return is_structured and _data(a) is not None and _data(a) == _data(b)


def _data(side: Side) -> Mapping[str, Any] | None:
    """Return the number of rows of the split and their digest; None if the record does not have them."""
    data: Mapping[str, Any] | None = side[1].identity.sources["data"].get(side[2].split)
    return data


def _flipped(flipped: Flips, a: Mapping[str, Array], b: Mapping[str, Array]) -> Iterator[FlippedExample]:
    moved = np.nan_to_num(flipped.margins_a) + np.nan_to_num(flipped.margins_b)
    for index in np.argsort(-moved, kind="stable"):
        row = int(flipped.rows[index])
        yield FlippedExample(
            id=row, label=a["labels"][row].tolist(), a=a["predictions"][row].tolist(), b=b["predictions"][row].tolist(),
            margin_a=finite(flipped.margins_a[index]), margin_b=finite(flipped.margins_b[index]),
        )  # fmt: skip


def _changes(
    a: Side, b: Side, before: Mapping[str, Array], after: Mapping[str, Array], groups: Groups | None, *, why: str
) -> Iterator[MetricChange]:
    """Yield the metrics that both results have; `why` is the reason if no metric can have an interval."""
    for name in a[2].metrics:
        if name in b[2].metrics:
            values = [side[2].metrics[name]["value"] for side in (a, b)]
            interval, reason = (None, why) if why else _interval(name, (a, b), (before, after), groups)
            yield MetricChange(metric=name, a=values[0], b=values[1], interval=interval, why=reason)


def _interval(
    name: str, sides: tuple[Side, Side], arrays: tuple[Mapping[str, Array], Mapping[str, Array]], groups: Groups | None
) -> tuple[Interval | None, str]:
    """Return the interval of the difference of a metric, or None and the reason."""
    metric = _metric(sides[0][1], name)
    if metric is None:
        return None, f"{name} is not one of this project's metrics, so it is not computed again"
    for side, stored in zip(sides, arrays, strict=True):
        if missing := [array for array in reads(metric) if array not in stored]:
            return None, f"the record has no {missing[0]} of each example"
        value, again = side[2].metrics[name]["value"], float(metric(*(stored[array] for array in reads(metric))))
        if value is None or not isfinite(again):
            return None, "the metric is not defined here"
        if abs(value - again) > score_tolerance(stored):
            return None, f"the code of the metric has changed: {again:.6f} now, {value:.6f} recorded"
    before, after = (side[2].metrics[name] for side in sides)
    interval = paired(
        metric, *arrays, difference=(after["value"] or 0.0) - (before["value"] or 0.0),
        step=max(before["one_prediction"] or 0.0, after["one_prediction"] or 0.0),
        groups=groups or single_groups(len(arrays[0][reads(metric)[0]])),
    )  # fmt: skip
    return interval, "" if interval else "the metric is not defined without some of the examples"


def _metric(record: Record, name: str) -> Metric | None:
    """Return the metric of this name in the recipe of a record, with its arguments; None if it is of other code.

    A recipe without metrics uses those of the task, which are all of this project.
    """
    named = [call for call in record.recipe.get("metrics", ()) if call["use"].split(".")[-1] == name]
    call = dict(named[0]) if named else {"use": name}
    module, _, short = str(call.pop("use")).rpartition(".")
    modules = [each for each in FIELDS["metrics"].namespaces if module in ("", each)]
    functions = (getattr(import_module(each), short, None) for each in modules)
    function = next((each for each in functions if getattr(each, "__module__", "") in modules), None)
    return partial(function, **call) if call and function else function


def _differences(a: Record, b: Record) -> Iterator[Difference]:
    """Yield the fields of the records that differ, by their paths."""
    of_a, of_b = (dict(_flat(_compared_fields(record))) for record in (a, b))
    for path in sorted(of_a.keys() | of_b.keys(), key=lambda path: (ORDER.index(path.split(".")[0]), path)):
        if of_a.get(path) != of_b.get(path):
            yield Difference(field=path, a=of_a.get(path), b=of_b.get(path))


def _compared_fields(record: Record) -> dict[str, Any]:
    environment = {name: value for name, value in record.environment.items() if name != "earlier"}
    fields = {"recipe": record.recipe, "weights": record.weights, "environment": environment}
    return {**asdict(record.identity), **fields}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the scalars in nested data with their paths."""
    if isinstance(value, Mapping | list | tuple):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
