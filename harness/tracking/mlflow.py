"""MLflow. $MLFLOW_TRACKING_URI and $MLFLOW_EXPERIMENT_NAME hold; without them MLflow uses a local database."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from harness.tracking.tracker import PROJECT, LogLine, TrackedTraining

MOST_METRICS = 1000
"""The most metrics in one request of MLflow."""
NOT_IN_NAMES = re.compile(r"[^\w.\- /:]")


class MLflow:
    """A run of an experiment. Metrics are sent in batches, because a request takes longer than a small step."""

    def __init__(self, training: TrackedTraining, *, resumed: str | None, first_step: int) -> None:
        del first_step  # only TensorBoard removes steps that are taken again
        self._mlflow: Any = import_module("mlflow")
        self._client = self._mlflow.MlflowClient()
        self.id = resumed or self._new_run(training)
        if resumed:
            self._client.update_run(self.id, status="RUNNING")

    def _new_run(self, training: TrackedTraining) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self._client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(name)
        run: str = self._client.create_run(number, run_name=training.name).info.run_id
        for key, value in training.config.items():
            if not isinstance(value, Mapping):
                self._client.log_param(run, key, value)
        self._client.log_dict(run, dict(training.config), "recipe.json")
        return run

    def send(self, lines: Sequence[LogLine]) -> None:
        """Send the lines."""
        now = int(time.time() * 1000)
        metrics = [
            self._mlflow.entities.Metric(NOT_IN_NAMES.sub("_", name), value, now, line.step)
            for line in lines
            for name, value in line.values.items()
        ]
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self.id, metrics=metrics[start : start + MOST_METRICS])

    def close(self, results: LogLine, *, is_complete: bool) -> None:
        """Send the scores, and end the run."""
        self.send([results])
        self._client.set_terminated(self.id, "FINISHED" if is_complete else "KILLED")
