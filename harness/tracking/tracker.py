"""The interface of a tracker of experiments, and the training that it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PROJECT = "zoo"
"""The project, or experiment, that runs belong to unless the tracker's own environment variables name another one."""


@dataclass(frozen=True, kw_only=True)
class TrackedTraining:
    """The training that a tracker shows as one run."""

    name: str
    """The name of the run, such as `digits-resnet8/retrain-seed1-0f3a9c1b2d4e`."""
    config: Mapping[str, Any]
    """Entry, seed, precision and the recipe as data."""
    folder: Path
    """The folder of all runs. Trackers that write files, and have no folder of their own, write below it."""
    work: Path
    """The folder of the training while it is made; it outlives a kill."""


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """The numbers of one line of the training log by name, such as `losses/total` or `scores/test/accuracy`."""

    step: int
    values: Mapping[str, float]


class Tracker(Protocol):
    """One run in a tracker."""

    id: str
    """Identifies the run, so that a training that is resumed goes on with it."""

    def send(self, lines: Sequence[LogLine]) -> None:
        """Send lines of the log, the oldest first."""

    def close(self, results: LogLine, *, is_complete: bool) -> None:
        """Send the scores of the trained model, and end the run.

        Args:
            results: The scores by name, such as `results/test/accuracy`, at the last step; no values if the training
                was stopped.
            is_complete: Whether the training ended. If not, the same command resumes it.
        """


class OpenTracker(Protocol):
    """Start a run in a tracker, or go on with an earlier one."""

    def __call__(self, training: TrackedTraining, *, resumed: str | None, first_step: int) -> Tracker:
        """Return the tracker.

        Args:
            training: The training.
            resumed: The `id` of the run to go on with; None for a new run.
            first_step: The step of the first line that will be sent.
        """
