"""Collect the scores of samples by task and metric, and leave out those that cannot be compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.imported_logs.reading import number, text_of, unique
from harness.imported_logs.types import Sample, TaskScores
from zoo.errors import UsageError
from zoo.safe_text import one_line

SAME = 1e-6
"""How much the mean of the samples may differ from the reported score by rounding, relative to it."""


@dataclass
class Collector:
    """The scores of the samples that were read so far."""

    where: str
    """The log, for messages."""
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    """(task, metric) -> samples."""
    bad: dict[tuple[str, str], str] = field(default_factory=dict)
    """(task, metric) -> why it is left out."""

    def add(self, task: str, metrics: Mapping[str, Any], sample: Sample) -> None:
        """Add the scores of one sample by each metric; `sample` has a score that is replaced."""
        for name, value in metrics.items():
            key = (task, name)
            score = number(value)
            if score is None:
                shown = one_line(repr(value))[:40]
                self.bad.setdefault(key, f"the sample {text_of(sample.document)!r} has no number but {shown}")
            else:
                self.samples.setdefault(key, []).append(replace(sample, score=score))

    def scores(
        self, reported: Mapping[tuple[str, str], float], findings: list[str], *, has_reported: bool
    ) -> Iterator[TaskScores]:
        """Yield the scores by each metric, sorted by document, and append what is left out to the findings.

        Args:
            reported: (task, metric) -> the score that the log states.
            findings: Gets a sentence for each metric that is left out.
            has_reported: Whether the log states scores.

        Raises:
            UsageError: A sample occurs twice, or no metric is left.
        """
        sizes = {task: max(len(s) for (t, _), s in self.samples.items() if t == task) for task, _ in self.samples}
        kept = 0
        for key in dict.fromkeys([*self.samples, *self.bad]):
            task, metric = key
            samples = sorted(self.samples.get(key, []), key=_order)
            unique(samples, lambda sample: (sample.document, sample.repeat), f"{self.where}: {task}, {metric}")
            why = self.bad.get(key) or _problem(samples, sizes[task], reported.get(key))
            if why:
                findings.append(f"{task}/{metric} is left out: {why}")
                continue
            kept += 1
            yield TaskScores(task=task, metric=metric, samples=tuple(samples), reported=reported.get(key))
        if not kept:
            raise UsageError(
                f"{self.where}: no score of samples can be used{': ' if findings else ''}{'; '.join(findings)}"
            )
        if not has_reported:
            findings.append("the log states no scores of whole tasks, so the means of its samples were not compared")


def combined(
    groups: Mapping[str, Any], scores: list[TaskScores], reported: Mapping[tuple[str, str], float], findings: list[str]
) -> Iterator[TaskScores]:
    """Yield the scores of groups of tasks, such as the 57 tasks of MMLU, whose tasks all have them by one metric.

    Each example counts alike.

    Args:
        groups: Group -> its tasks and groups.
        scores: The scores of the tasks.
        reported: (group, metric) -> the score that the log states.
        findings: Gets a sentence for each group whose score in the log is not the mean of its examples.
    """
    by_key = {(of_task.task, of_task.metric): of_task for of_task in scores}
    for group in groups:
        names = _tasks_of(group, groups)
        metrics = dict.fromkeys(of_task.metric for of_task in scores if of_task.task in names)
        for metric in metrics if len(names) > 1 else ():
            parts = [of_task for name in names if (of_task := by_key.get((name, metric)))]
            if (group, metric) in by_key or len(parts) < len(names):
                continue
            samples = [
                replace(sample, document=f"{of_task.task}\0{sample.document}")
                for of_task in parts
                for sample in of_task.samples
            ]
            stated = reported.get((group, metric))
            if why := _problem(samples, len(samples), stated):
                findings.append(f"{one_line(group)}/{metric} is left out: {why}")
            else:
                yield TaskScores(task=one_line(group), metric=metric, samples=tuple(samples), reported=stated)


def _tasks_of(group: str, groups: Mapping[str, Any]) -> list[str]:
    """Return the tasks of a group and of the groups in it, in order; a name without others in it is a task."""
    found, waiting, seen = list[str](), [group], set[str]()
    while waiting:
        name = waiting.pop()
        inside = groups.get(name)
        if name in seen:
            continue
        seen.add(name)
        if isinstance(inside, list) and inside:
            waiting += map(str, reversed(inside))
        else:
            found.append(name)
    return found


def _order(sample: Sample) -> tuple[int, str, int]:
    """Return a key that sorts numbers as numbers."""
    is_number = sample.document.isdecimal() and len(sample.document) < 19
    return (int(sample.document) if is_number else -1, sample.document, sample.repeat)


def _problem(samples: list[Sample], expected: int, reported: float | None) -> str:
    """Return why scores cannot be used, or an empty text."""
    if len(samples) < expected:
        return f"only {len(samples):,} of {expected:,} samples have it"
    mean = sum(sample.score for sample in samples) / len(samples)
    if reported is not None and abs(mean - reported) > SAME * max(1.0, abs(reported)):
        return (
            f"the log states {reported:.6g}, which is not the mean of the samples, {mean:.6g}; the tool aggregates it"
            " in another way"
        )
    return ""
