"""The common content of the logs of all tools: a score of each example."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DOCUMENT = "document"
"""The default of `--group-by`: repeated samples of one document are a group."""
CLAIM_OPTION = "--claim"
"""The option of `zoo evaluate` that states a claim, and the source of such a claim: the user names no other."""
TASK = "task"
"""The value of `--group-by` that makes each task a group, for scores that join several tasks."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The score of one example."""

    document: str
    """The identifier of the document within its task."""
    content: str
    """A digest of the document and its target, which is the same for every model."""
    score: float
    group: str
    """The value that the samples of a group share, see `--group-by`."""
    repeat: int = 0
    """The number of the repetition, such as an epoch."""


@dataclass(frozen=True, kw_only=True)
class TaskScores:
    """The scores of all examples of a task by one metric."""

    task: str
    metric: str
    """The name of the metric in the log, with that of its filter or scorer."""
    samples: tuple[Sample, ...]
    reported: float | None = None
    """The score that the log states for the whole task; None if it states none."""

    @property
    def split(self) -> str:
        """The name of the split in the record."""
        return f"{self.task}/{self.metric}"

    @property
    def mean(self) -> float:
        """The mean of the scores."""
        return sum(sample.score for sample in self.samples) / len(self.samples)


@dataclass(frozen=True, kw_only=True)
class ImportedLog:
    """A log of one model."""

    tool: str
    version: str
    model: str
    """The model as the log names it."""
    revision: str
    """Its revision; empty if the log does not say it."""
    precision: str
    """The type of its weights as the log writes it; empty if the log does not say it."""
    device: str
    created: float
    """When the evaluation was made, in seconds since 1970."""
    seconds: float
    """How long it took; 0 if the log does not say it."""
    scores: tuple[TaskScores, ...]
    files: Mapping[str, str]
    """The files that were read: name -> SHA-256."""
    data_sets: Mapping[str, str] = field(default_factory=dict)
    """Task -> the name of its data set, where the log has it."""
    subsets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Task -> the `split` and the `config` of its data set, where the log has them."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further facts for readers: the tasks' versions, numbers of examples in a prompt, and so on."""
    packages: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    """Remarks on samples that were left out, and on facts that the log lacks."""
