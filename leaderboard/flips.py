"""Compare the predictions in two records of the same weights, made on different machines or by different code."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from harness.judging import paired
from harness.judging.measure import read_decisions
from harness.records.record import RecordedRun
from zoo.errors import UsageError
from zoo.recipes.catalogue import Entry

Arrays = Mapping[str, paired.Array]


def compare_records(entry: Entry, records: Sequence[RecordedRun]) -> list[dict[str, Any]]:
    """Compare each evaluation of published weights with each other record of the same weights, split by split.

    Records whose labels differ are left out.

    Returns:
        One row per pair of records and split. `a` and `b` are the folders of the records. `differ` of `n` predictions
        differ: `gained` are wrong in `a` and right in `b`, `lost` are right in `a` and wrong in `b`; the three are None
        for a regression. `drift` is the largest change of a logit, or None if no logits were recorded.
    """
    of_entry = [(path, record) for path, record in records if record.entry == entry.name]
    return [row for first, second in _pairs(of_entry) for row in _compare_pair(first, second)]


def _pairs(runs: list[RecordedRun]) -> Iterator[tuple[RecordedRun, RecordedRun]]:
    """Yield pairs of records of the same weights, the second of them an evaluation of published weights."""
    for pair in combinations(runs, 2):
        modes = [record.identity.mode for _, record in pair]
        if pair[0][1].weights == pair[1][1].weights and "weights" in modes:
            yield pair if modes[1] == "weights" else (pair[1], pair[0])


def _compare_pair(first: RecordedRun, second: RecordedRun) -> Iterator[dict[str, Any]]:
    for result in first[1].results:
        others = [r for r in second[1].results if (r.split, r.selection) == (result.split, result.selection)]
        for other in others:
            a, b = read_decisions(first[0], result), read_decisions(second[0], other)
            if (differences := _compare_arrays(a, b)) is not None:
                folders = {"a": first[1].identity.folder, "b": second[1].identity.folder}
                yield {"split": result.split, **folders, **differences}


def _compare_arrays(a: Arrays, b: Arrays) -> dict[str, Any] | None:
    """Return the differences, or None if these are not predictions of the same examples."""
    try:
        drift = paired.measure_drift(a, b)
    except UsageError:
        return None
    differences = {"n": len(a["labels"]), "drift": drift.max if drift else None}
    try:
        flips = paired.find_flips(a, b)
    except UsageError:  # the predictions of a regression cannot flip
        return {**differences, "differ": None, "gained": None, "lost": None}
    return {**differences, "differ": flips.flipped, "gained": flips.gained, "lost": flips.lost}
