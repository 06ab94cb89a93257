"""Which predictions differ between two records of the same weights: on another machine, or by other code."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from harness.judging import paired
from harness.judging.judge_runs import RecordedRun, read_predictions
from zoo.errors import UsageError
from zoo.recipes.catalogue import Entry

Arrays = Mapping[str, paired.Array]


def compare_records(entry: Entry, records: Sequence[RecordedRun]) -> list[dict[str, Any]]:
    """One row for each evaluation of published weights, each other record of those weights, and split.

    `differ` of `n` predictions, None where they are numbers; `gained` were wrong in `a` and are right in `b`, `lost`
    the other way round; `drift` is how far a logit moved at most, None where none were kept. Records of other examples,
    as their labels tell, are left out.
    """
    own = [(path, record) for path, record in records if record.entry == entry.name]
    return [row for first, second in _pairs(own) for row in _compared(first, second)]


def _pairs(own: list[RecordedRun]) -> Iterator[tuple[RecordedRun, RecordedRun]]:
    """Two records of the same weights, one of them of the published ones, which comes second."""
    for pair in combinations(own, 2):
        modes = [record.identity.mode for _, record in pair]
        if pair[0][1].weights == pair[1][1].weights and "weights" in modes:
            yield pair if modes[1] == "weights" else (pair[1], pair[0])


def _compared(first: RecordedRun, second: RecordedRun) -> Iterator[dict[str, Any]]:
    for result in first[1].results:
        others = [r for r in second[1].results if (r.split, r.selection) == (result.split, result.selection)]
        for other in others:
            a, b = read_predictions(first[0], result), read_predictions(second[0], other)
            if (found := _difference(a, b)) is not None:
                folders = {"a": first[1].identity.folder, "b": second[1].identity.folder}
                yield {"split": result.split, **folders, **found}


def _difference(a: Arrays, b: Arrays) -> dict[str, Any] | None:
    """What differs; None where these are not predictions of the same examples."""
    try:
        drift = paired.measure_drift(a, b)
    except UsageError:
        return None
    told = {"n": len(a["labels"]), "drift": drift.max if drift else None}
    try:
        found = paired.find_flips(a, b)
    except UsageError:  # of a regression: numbers drift, and none flips
        return {**told, "differ": None, "gained": None, "lost": None}
    return {**told, "differ": found.flipped, "gained": found.gained, "lost": found.lost}
