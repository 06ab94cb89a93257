"""Print a comparison of two records for a person."""

from collections.abc import Iterator
from typing import Any

from harness.diagnosis.diff.groups import Groups
from harness.diagnosis.diff.types import ALPHA, Diff, FlippedExample, MetricChange, SplitDiff
from harness.judging.paired import EDGES, Drift, Flips
from harness.judging.types import format_difference
from harness.records.record import Record
from zoo.safe_text import one_line
from zoo.text_tables import counted, fitted, wrapped

BAR = 24
"""The length of the longest bar of a histogram."""
MOST_CHARACTERS = 300
"""The number of characters of a text that are shown."""
DIGEST = 12
"""The number of digits of a SHA-256 that are shown."""


def lines(comparison: Diff, *, limit: int = 20, colors: bool = False, columns: int | None = None) -> Iterator[str]:
    """Yield the lines of a comparison.

    Args:
        comparison: The comparison.
        limit: The number of flipped examples to show for each split.
        colors: Whether to draw pictures in the gray shades of a terminal, instead of ASCII characters.
        columns: The width of the terminal in characters; None for no limit.
    """
    yield one_line(f"A  {_name(comparison.a)}  {comparison.path_a}")
    yield one_line(f"B  {_name(comparison.b)}  {comparison.path_b}")
    yield ""
    if comparison.differences:
        rows = [[difference.field, _short(difference.a), _short(difference.b)] for difference in comparison.differences]
        yield fitted(rows, ["differs", "A", "B"], columns, flexible=(0, 1, 2))
    else:
        changed = any((s.flips and s.flips.flipped) or (s.drift and s.drift.max) for s in comparison.splits)
        results = "different results" if changed else "the same results"
        yield f"same recipe, data, weights and environment, with {results}"
    for split in comparison.splits:
        yield ""
        yield from _split(split, limit, colors, columns, is_log=bool(comparison.a.imported))
    if comparison.why_no_groups:
        yield ""
        yield wrapped(f"examples are treated as independent: {one_line(comparison.why_no_groups)}", columns)
    if comparison.why_no_examples:
        yield ""
        yield wrapped(f"examples are not shown: {one_line(comparison.why_no_examples)}", columns)


def _split(split: SplitDiff, limit: int, colors: bool, columns: int | None, *, is_log: bool) -> Iterator[str]:
    epochs = split.selections[0] if len(set(split.selections)) == 1 else " and ".join(split.selections)
    yield f"{one_line(split.split)}, {split.n:,} examples{'' if is_log else f', epoch: {epochs}'}\n"
    headers = ["metric", "A", "B", "B - A", "95 % interval", "method"]
    yield fitted([_row(change) for change in split.metrics], headers, columns)
    yield ""
    if split.groups:
        yield wrapped(_groups(split.groups), columns, hanging="  ")
    flips = _flips(split.flips, split) if split.flips else f"flips: not available: {one_line(split.note)}"
    yield wrapped(flips, columns, hanging="  ")
    if split.drift:
        yield from _drift(split.drift)
    for example in split.examples[:limit]:
        yield from ([f"  {_scored(example)}"] if is_log else _example(example, split.classes, colors, columns))
    if len(split.examples) > limit:
        yield f"... and {len(split.examples) - limit} more; --limit shows more, --json all"


def _row(change: MetricChange) -> list[str]:
    interval = change.interval
    bounds = f"{interval.low:+.4f} to {interval.high:+.4f}" if interval else "-"
    values = ["-" if value is None else f"{value:.4f}" for value in (change.a, change.b)]
    difference = "-" if change.difference is None else format_difference(change.difference)
    return [change.metric, *values, difference, bounds, interval.kind if interval else change.why]


def _groups(groups: Groups) -> str:
    n, largest = len(groups.ids), int(groups.sizes.max())
    if groups.are_single:
        return "groups: no two examples share a text, so all are independent"
    return (
        f"groups: {counted(len(groups.sizes), 'group')} of examples that share {groups.shared}, at most {largest:,} of"
        f" {n:,} examples; standard errors are clustered"
    )


def _flips(flips: Flips, split: SplitDiff) -> str:
    wrong_in_both = flips.flipped - flips.gained - flips.lost
    counts = f"flips: {flips.flipped:,} of {flips.n:,}: {flips.gained} wrong to right, {flips.lost} right to wrong"
    counts += f", {wrong_in_both} wrong in both" if wrong_in_both else ""
    tests = f"exact McNemar test: p = {flips.p:.3g}"
    if split.p_of_groups is not None and not (split.groups and split.groups.are_single):
        tests += f", if all examples were independent; exact sign test of groups: p = {split.p_of_groups:.3g}"
    decided = f"the predictions of {split.better} are better" if split.better else "no difference is shown"
    return f"{counts}; {tests}; at the {100 * ALPHA:g} % level {decided}"


def _drift(drift: Drift) -> Iterator[str]:
    yield f"drift of {drift.of}: mean {drift.mean:.2g}, 99 % within {drift.p99:.2g}, largest {drift.max:.2g}"
    filled = [number for number, count in enumerate(drift.counts) if count]
    for number in range(filled[0], filled[-1] + 1) if drift.max else ():
        low, high = (0.0, *EDGES)[number], (*EDGES, None)[number]
        name = f"{low:g} and more" if high is None else f"{low:g} to {high:g}"
        bar = "#" * round(BAR * drift.counts[number] / max(drift.counts))
        yield f"  {name:<16} {drift.counts[number]:>9,} {bar}".rstrip()


def _scored(example: FlippedExample) -> str:
    """Return how the score of an example of two logs differs: a log has neither labels nor margins."""
    before, after = ("right" if answer == example.label else "wrong" for answer in (example.a, example.b))
    return f"example {one_line(example.id)}: {before} -> {after}"


def _example(example: FlippedExample, classes: tuple[str, ...], colors: bool, columns: int | None) -> Iterator[str]:
    names = [one_line(_class(label, classes)) for label in (example.label, example.a, example.b)]
    margins = ["-" if margin is None else f"{margin:.2g}" for margin in (example.margin_a, example.margin_b)]
    change = f"label {names[0]}: {names[1]} -> {names[2]}, margins {margins[0]} and {margins[1]}"
    yield wrapped(f"{one_line(example.id)}: {change}", columns, "  ", "    ")
    preview = example.preview
    for line in preview.lines(colors=colors) if preview else ():
        yield wrapped(_cut(line), columns, "    ") if preview and preview.texts else f"    {line}".rstrip(" ")


def _cut(text: str) -> str:
    words = one_line(" ".join(text.split()))
    return words if len(words) <= MOST_CHARACTERS else f"{words[:MOST_CHARACTERS]}..."


def _class(label: Any, classes: tuple[str, ...]) -> str:
    """Return the name of a class, or its number; for several labels the names of those that are set."""
    if isinstance(label, list):
        return "+".join(_class(number, classes) for number, is_set in enumerate(label) if is_set) or "none"
    return classes[label] if isinstance(label, int) and 0 <= label < len(classes) else str(label)


def _name(record: Record) -> str:
    seed = "" if record.identity.seed is None else f", seed {record.identity.seed}"
    return f"{record.entry}, {record.identity.mode}{seed}"


def _short(value: Any) -> str:
    """Return the first digits of a digest, any other value in full, and `-` for None."""
    text = "-" if value is None else str(value)
    return text[:DIGEST] if len(text) in (40, 64) and set(text) <= set("0123456789abcdef") else text
