"""The text of `zoo train`: the scores of a run, what to know of them, and whether the run existed."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from zoo.cli import render
from zoo.safe_text import one_line
from zoo.text_tables import number

if TYPE_CHECKING:
    from zoo.api.results import TrainingResult


def training_text(result: "TrainingResult", next_steps: Sequence[str]) -> Iterator[str]:
    """Return the lines of a training's result.

    Args:
        result: The result.
        next_steps: The commands that fit now.
    """
    if result.existed:
        made = result.created.replace("T", " ").replace("Z", " UTC")
        text = f"{one_line(result.entry)}: the run with seed {result.seed} exists, made at {made}; nothing was trained."
        yield render.wrapped(f"{text} Another --seed trains another run, and --fresh trains this one again.", "")
    rows = [
        [score.split, score.metric, number(score.value, score.decimals), score.examples, score.epoch]
        for score in result.scores
    ]
    yield render.table(["split", "metric", "value", "n", "epoch"], rows)
    yield from notes(result.findings)
    yield f"record: {one_line(result.record)}"
    for index, command in enumerate(next_steps):
        yield f"{'      ' if index else 'next: '}{one_line(command)}"


def notes(findings: Iterable[str]) -> Iterator[str]:
    """Return what a reader of scores should know, a paragraph each."""
    return (render.wrapped(f"note: {one_line(finding)}", "") for finding in findings)
