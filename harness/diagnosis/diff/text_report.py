"""The difference of two records as a person reads it."""

from collections.abc import Iterator
from typing import Any

from tabulate import tabulate

from harness.diagnosis.diff.comparison import Diff, FlippedExample, MetricChange, SplitDiff
from harness.judging.paired import EDGES, Drift, Flips
from harness.judging.types import format_difference
from harness.records.record import Record

BAR = 24
"""The longest bar of a histogram."""
LONGEST = 300
"""Of a text so many characters are shown."""
DIGEST = 12


def lines(found: Diff, *, limit: int = 20, colours: bool = False) -> Iterator[str]:
    """The whole comparison, `limit` examples a split; `colours` draws pictures with a terminal's shades."""
    yield f"A  {_name(found.a)}  {found.path_a}"
    yield f"B  {_name(found.b)}  {found.path_b}"
    yield ""
    if found.unlike:
        rows = [[one.part, _short(one.a), _short(one.b)] for one in found.unlike]
        yield tabulate(rows, headers=["differs", "A", "B"], disable_numparse=True)
    else:
        moved = any((p.flips and p.flips.flipped) or (p.drift and p.drift.max) for p in found.parts)
        yield f"the same was computed, with {'another' if moved else 'the same'} result"
    for part in found.parts:
        yield ""
        yield from _part(part, limit, colours)
    if found.why:
        yield f"\nno example is shown: {found.why}"


def _part(part: SplitDiff, limit: int, colours: bool) -> Iterator[str]:
    chosen = part.selections[0] if len(set(part.selections)) == 1 else " and ".join(part.selections)
    yield f"{part.split}, {part.n:,} examples, epoch: {chosen}\n"
    headers = ["metric", "A", "B", "B - A", "95 % interval", "by"]
    yield tabulate([_row(change) for change in part.metrics], headers=headers, disable_numparse=True)
    yield ""
    yield _flips(part.flips) if part.flips else f"flips: none are defined: {part.said}"
    if part.drift:
        yield from _drift(part.drift)
    for one in part.examples[:limit]:
        yield from _example(one, part.classes, colours)
    if len(part.examples) > limit:
        yield f"... and {len(part.examples) - limit} more; --limit shows more, --json all"


def _row(change: MetricChange) -> list[str]:
    found = change.interval
    between = f"{found.low:+.4f} to {found.high:+.4f}" if found else "-"
    values = ["-" if value is None else f"{value:.4f}" for value in (change.a, change.b)]
    moved = "-" if change.difference is None else format_difference(change.difference)
    return [change.metric, *values, moved, between, found.kind if found else change.why]


def _flips(found: Flips) -> str:
    neither = found.flipped - found.gained - found.lost
    told = f"flips: {found.flipped:,} of {found.n:,}: {found.gained} wrong to right, {found.lost} right to wrong"
    told += f", {neither} wrong in both" if neither else ""
    return f"{told}; McNemar, exact: p = {found.p:.3g}"


def _drift(found: Drift) -> Iterator[str]:
    yield f"drift of {found.of}: mean {found.mean:.2g}, 99 % within {found.p99:.2g}, largest {found.max:.2g}"
    shown = [at for at, count in enumerate(found.counts) if count]
    for at in range(shown[0], shown[-1] + 1) if found.max else ():
        low, high = (0.0, *EDGES)[at], (*EDGES, None)[at]
        name = f"{low:g} and more" if high is None else f"{low:g} to {high:g}"
        bar = "#" * round(BAR * found.counts[at] / max(found.counts))
        yield f"  {name:<16} {found.counts[at]:>9,} {bar}".rstrip()


def _example(one: FlippedExample, classes: tuple[str, ...], colours: bool) -> Iterator[str]:
    names = [_class(label, classes) for label in (one.label, one.a, one.b)]
    margins = ["-" if margin is None else f"{margin:.2g}" for margin in (one.margin_a, one.margin_b)]
    yield f"  {one.id}: label {names[0]}: {names[1]} -> {names[2]}, margins {margins[0]} and {margins[1]}"
    for line in one.look.lines(colours=colours) if one.look else ():
        yield f"    {_cut(line)}" if one.look and one.look.texts else f"    {line}".rstrip(" ")


def _cut(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}..."


def _class(label: Any, classes: tuple[str, ...]) -> str:
    """A class by its name, if it has one; of several labels those that are there."""
    if isinstance(label, list):
        return "+".join(_class(at, classes) for at, there in enumerate(label) if there) or "none"
    return classes[label] if isinstance(label, int) and 0 <= label < len(classes) else str(label)


def _name(record: Record) -> str:
    seed = "" if record.identity.seed is None else f", seed {record.identity.seed}"
    return f"{record.entry}, {record.identity.mode}{seed}"


def _short(value: Any) -> str:
    """A digest by its first digits; nothing for what one of the two does not have."""
    text = "-" if value is None else str(value)
    return text[:DIGEST] if len(text) in (40, 64) and set(text) <= set("0123456789abcdef") else text
