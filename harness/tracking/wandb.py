"""Weights & Biases. $WANDB_PROJECT, $WANDB_MODE and its other variables hold; `WANDB_MODE=offline` needs no account."""

import os
from collections.abc import Sequence
from importlib import import_module

from harness.tracking.tracker import PROJECT, LogLine, TrackedTraining


class WeightsAndBiases:
    """A run of a project. W&B ignores steps that it has already, so a resumed run has every step once."""

    def __init__(self, training: TrackedTraining, *, resumed: str | None, first_step: int) -> None:
        del first_step
        wandb = import_module("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=training.name,
            id=resumed,
            config=dict(training.config),
            resume="allow",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self.id: str = self._run.id

    def send(self, lines: Sequence[LogLine]) -> None:
        """Send the lines."""
        for line in lines:
            self._run.log(dict(line.values), step=line.step)

    def close(self, results: LogLine, *, is_complete: bool) -> None:
        """Set the scores in the run's summary, and end it."""
        self._run.summary.update(dict(results.values))
        self._run.finish(exit_code=0 if is_complete else 1)
