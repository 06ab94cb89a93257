"""Trackio of Hugging Face: a local database in its own folder, or a Space if $TRACKIO_SPACE_ID names one."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module

from harness.tracking.tracker import PROJECT, LogLine, TrackedTraining


class Trackio:
    """A run of a project; $TRACKIO_PROJECT names the project. It keeps both values of a step that is taken again."""

    def __init__(self, training: TrackedTraining, *, resumed: str | None, first_step: int) -> None:
        del first_step  # only TensorBoard removes steps that are taken again
        self.id = resumed or f"{training.name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        self._run = import_module("trackio").init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=self.id,
            config=dict(training.config),
            resume="allow" if resumed else "never",
            embed=False,
        )

    def send(self, lines: Sequence[LogLine]) -> None:
        """Send the lines."""
        for line in lines:
            self._run.log(dict(line.values), step=line.step)

    def close(self, results: LogLine, *, is_complete: bool) -> None:
        """Send the scores, and wait until everything is stored."""
        del is_complete  # Trackio has no state of a run
        if results.values:
            self.send([results])
        self._run.finish()
