"""The scores of a run as they are published: each with its data set, its verdict and how it was measured."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.imported_logs.types import CLAIM_OPTION
from harness.judging.chosen_rows import subset_text
from harness.judging.types import Judgement
from harness.records.record import Record, Result
from harness.runs.hub_names import (
    HUB_METRICS,
    OTHER,
    data_set_slug,
    hub_repos,
    metric_arguments,
    metric_title,
    source_name,
)
from harness.runs.judged_runs import JudgedRuns
from zoo.claims.published import ZOO_SOURCE
from zoo.errors import UsageError
from zoo.recipes.claim import SHARES
from zoo.recipes.schema import Holdout
from zoo.safe_text import one_line

SOURCE = ZOO_SOURCE
"""Results of other sources are never changed."""
TASK_TYPES = {
    "cifar": "image-classification", "digits": "image-classification", "image_folder": "image-classification",
    "image_classification": "image-classification", "semantic_similarity": "sentence-similarity",
    "coco_segmentation": "image-segmentation", "voc_segmentation": "image-segmentation",
    "token_classification": "token-classification", "question_answering": "question-answering",
    "object_detection": "object-detection",
}  # fmt: skip
"""Task -> the Hub's type of it. Another recipe with a tokenizer classifies texts."""
NO_SOURCE = "typed at the command line, without a source"
MEASURED = "measured only"
"""Stands for the verdict of a score that no recorded claim is about."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """The rows that were scored, as the Hub names them."""

    type: str
    """The repository, or the name of data that are not on the Hub."""
    name: str
    is_on_hub: bool
    config: str | None
    split: str
    revision: str | None
    task: str = ""
    """The task of another tool that scored the rows; empty for our own."""
    holdout: Mapping[str, Any] | None
    """The arguments of the hold-out, if the rows are one; `split` is then the split that lost them."""
    rows: str = ""
    """Which rows of the split they are, such as `1,000 of 50,000 rows (0-999)`; empty for all."""


@dataclass(frozen=True, kw_only=True)
class PublishedScore:
    """One score of a run."""

    record: Record
    result: Result
    metric: str
    value: float
    judgement: Judgement | None
    """The judgement of the claim about it, if there is one."""

    @property
    def name(self) -> str:
        """The name of the metric: that of the tool, for a score of an imported log."""
        task = self.data_set.task
        return self.result.split.removeprefix(f"{task}/") if task else self.metric

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of the metric, such as the average of F1; none of a score of an imported log."""
        return {} if self.record.imported else metric_arguments(self.record.recipe, self.metric)

    @property
    def hub_metric(self) -> str:
        """The Hub's name of the metric."""
        return self.name if self.record.imported else HUB_METRICS.get(self.name, self.name)

    @property
    def title(self) -> str:
        """The name of the metric for readers, with its arguments: `f1 (macro)`."""
        return metric_title(self.name, self.arguments)

    @property
    def date(self) -> str | None:
        """When it was measured; None if an imported log does not say it."""
        return self.record.created if self._states("date") else None

    @property
    def precision(self) -> str | None:
        """The precision of the model; None if an imported log does not say it."""
        return self.record.identity.numerics["precision"] if self._states("precision") else None

    def _states(self, what: str) -> bool:
        return not self.record.imported or bool(self.record.imported.get("states", {}).get(what))

    @property
    def verdict(self) -> str:
        """The verdict on the claim, or `measured only`."""
        return self.judgement.label if self.judgement else MEASURED

    @property
    def right(self) -> int | None:
        """The number of right examples, for a share of all examples."""
        count = self.value * self.result.n
        return round(count) if self.metric in SHARES and abs(count - round(count)) < 1e-6 else None

    @property
    def facts(self) -> dict[str, str | int | float]:
        """How the score was measured, and what was claimed."""
        record = self.record
        claimed = self.judgement.claim.value if self.judgement else None
        facts = {
            "verdict": self.verdict, "claimed": claimed, "claim": NO_SOURCE if self._is_typed else None,
            "n": self.result.n, "rows": self.data_set.rows or None,
            "correct": self.right, "precision": self.precision, "seed": record.identity.seed,
            **self._made_by, "record_key": record.identity.key,
            "zoo_version": record.environment["packages"].get(SOURCE),
        }  # fmt: skip
        return {name: value for name, value in facts.items() if value is not None}

    @property
    def _is_typed(self) -> bool:
        """Whether the claim is one that the user of `zoo evaluate` typed, so that nobody knows who made it."""
        return self.judgement is not None and self.judgement.claim.source == CLAIM_OPTION

    @property
    def _made_by(self) -> dict[str, str]:
        """The weights that were scored, or else the epoch that had them, or the log that states the scores."""
        if log := self.record.imported:
            return {"log_of": f"{log['tool']} {log['version']}", "model_revision": str(log.get("revision", "unknown"))}
        is_kept = self.result.selection == self.record.kept_epoch
        return {"weights_sha256": self.record.weights} if is_kept else {"epoch": self.result.selection}

    @property
    def notes(self) -> str:
        """One sentence on the verdict and how the score was measured."""
        examples = f"{self.right:,} of {self.result.n:,}" if self.right is not None else f"{self.result.n:,} examples"
        claim = self.judgement.claim if self.judgement else None
        claimed = f", claimed {claim.printed_value}" if claim and claim.value else ""
        claimed += f" ({NO_SOURCE})" if self._is_typed else ""
        how = f"{self.title} {self.value:.6g}{claimed} ({examples})"
        how += f"; {self.precision}" if self.precision else ""
        seed = "" if self.record.identity.seed is None else f"; seed {self.record.identity.seed}"
        made_by = self._made_by
        by = f"weights sha256 {self.record.weights[:16]}"
        if "epoch" in made_by:
            by = f"weights of the {made_by['epoch']} epoch, which are not kept"
        elif "log_of" in made_by:
            by = f"log of {made_by['log_of']}"
        return one_line(f"{self.verdict}: {how}{seed}; {by}")

    @property
    def data_set(self) -> DataSet:
        """The rows that were scored."""
        subset = subset_text(self.result.scoring, self.result.n)
        return replace(data_set_of(self.record, self.result.split), rows=subset)

    @property
    def task_type(self) -> str:
        """The Hub's name for the type of the task."""
        use = str(self.record.recipe["task"]["use"])
        return TASK_TYPES.get(use, "text-classification" if "tokenizer" in self.record.recipe else OTHER)


def published_scores(judged: JudgedRuns) -> tuple[PublishedScore, ...]:
    """Return every defined score of a run: of the weights that it kept, and of another epoch if a claim is about it.

    Raises:
        UsageError: There are several runs, or the run failed, or no score is defined.
    """
    if len(judged.runs) != 1:
        raise UsageError("one run is published at a time; name one RECORD")
    path, record = judged.runs[0]
    if record.failure:
        raise UsageError(f"{path}: the scores of this run mean nothing: {record.failure}")
    scores = tuple(_scores(record, judged.judgements))
    if not scores:
        raise UsageError(f"{path}: no score of this run is defined")
    return scores


def only(scores: Sequence[PublishedScore], split: str | None, metric: str | None) -> tuple[PublishedScore, ...]:
    """Return the scores on a split and of a metric; None stands for any. Raise UsageError if there is none."""
    chosen = tuple(s for s in scores if split in (None, s.result.split) and metric in (None, s.metric))
    if not chosen:
        known = ", ".join(f"{score.metric} on {score.result.split}" for score in scores)
        raise UsageError(f"the run has no such score; it has {known}")
    return chosen


def data_set_of(record: Record, split: str) -> DataSet:
    """Return the rows of a split of a record."""
    task = record.recipe["task"]
    holdout = {"name": Holdout.name, **(record.recipe.get("holdout") or {})}
    arguments = holdout if record.recipe.get("holdout") and holdout["name"] == split else None
    found = next(iter(hub_repos(task, "dataset")), None)
    named = task.get("name") if task["use"] == "glue" or found is None else None
    rows_of = str(arguments["of"]) if arguments else split
    name = str(found[1].name) if found else one_line(named or source_name(task.get("data"), rows_of) or task["use"])
    pinned = record.provenance.get(found[0], {}).get("revision") if found else None
    config = task.get("config") or (named if found else None)
    own = DataSet(
        type=name if found else data_set_slug(name), name=name, is_on_hub=found is not None,
        config=str(config) if config else None, split=rows_of,
        revision=pinned, holdout=arguments,
    )  # fmt: skip
    return _of_log(own, record) if record.imported else own


def _of_log(data: DataSet, record: Record) -> DataSet:
    """Return the rows of a split of an imported log, which is named by task and metric.

    Raises:
        UsageError: The log does not say which split of a data set on the Hub its task scored.
    """
    subsets, tasks = record.imported.get("subsets", {}), record.recipe["task"]["tasks"]
    task = max((task for task in tasks if data.split.startswith(f"{task}/")), key=len)
    subset = subsets.get(task, {})
    if data.is_on_hub and "split" not in subset:
        raise UsageError(
            f"the log does not say which split of {data.name} the task {task} scored, so its scores cannot be"
            " published; pass --split for those of another task"
        )
    return replace(data, task=task, split=subset.get("split", ""), config=subset.get("config"))


def digest_of(score: PublishedScore, *more: str) -> bytes:
    """Return a digest that names a score of a run, the same whenever it is published."""
    parts = (score.record.identity.key, score.result.split, score.result.selection, *more)
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _scores(record: Record, judgements: Sequence[Judgement]) -> Iterator[PublishedScore]:
    claimed = {(j.claim.split, j.claim.metric, str(j.claim.selection)): j for j in reversed(judgements)}
    for result in record.results:
        for metric, score in result.metrics.items():
            judgement = claimed.get((result.split, metric, result.selection))
            if score["value"] is not None and (judgement or result.selection == record.kept_epoch):
                yield PublishedScore(
                    record=record, result=result, metric=metric, value=score["value"], judgement=judgement
                )
