"""Send the lines of a training log to the trackers that the user names. If a tracker fails, the training goes on."""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.records.training_log import LOG
from harness.tracking.mlflow import MLflow
from harness.tracking.tensorboard import TensorBoard
from harness.tracking.tracker import LogLine, OpenTracker, TrackedTraining, Tracker
from harness.tracking.trackio import Trackio
from harness.tracking.wandb import WeightsAndBiases
from zoo.errors import UsageError
from zoo.files import write_atomically
from zoo.progress import Report

TRACKERS: Mapping[str, OpenTracker] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}
"""The name of a package to import -> how it is used."""
IDS = "trackers.json"
"""In the folder of a training that is being made: the runs of the trackers that it belongs to."""
SECONDS = 2.0
"""The time between two batches of lines."""


def check_trackers(names: Collection[str]) -> None:
    """Raise UsageError if the package of a tracker is not installed. Nothing is imported."""
    if missing := [name for name in names if find_spec(name) is None]:
        raise UsageError(f"--log-to {missing[0]} needs the package {missing[0]}: pip install {missing[0]}")


class LogToTrackers:
    """The trackers of one training. They are opened with the first line, in the process that writes the log.

    Args:
        names: The names of the trackers.
        training: The training.
        report: Called with a message if a tracker fails.
    """

    def __init__(self, names: Collection[str], training: TrackedTraining, report: Report) -> None:
        self._training, self._report = training, report
        self.results: Mapping[str, float] = {}
        """The scores of the trained model, such as `results/test/accuracy`."""
        self._waiting = dict.fromkeys(names)
        self._open: dict[str, Tracker] = {}
        self._lines: list[LogLine] = []
        self._step, self._sent = 0, time.monotonic()

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line of the training log. Lines are sent together, at most every two seconds."""
        if not (self._waiting or self._open):
            return
        self._step = line["step"]
        self._open_waiting(self._step)
        self._lines.append(LogLine(step=self._step, values=numbers(line)))
        if time.monotonic() - self._sent >= SECONDS:
            self._send()

    def close(self, *, is_complete: bool) -> None:
        """Send the remaining lines and the `results`, and end the runs of all trackers."""
        if self.results and self._waiting and _read_ids(self._training.work):
            self._step = _last_step(self._training.work)  # it was stopped after its last step
            self._open_waiting(self._step + 1)
        self._send()
        results = LogLine(step=self._step, values=self.results)
        self._each(lambda tracker: tracker.close(results, is_complete=is_complete))
        self._open, self._waiting = {}, {}

    def _open_waiting(self, first_step: int) -> None:
        if not self._waiting:
            return
        names, self._waiting = list(self._waiting), {}
        resumed = _read_ids(self._training.work) if first_step > 1 else {}
        for name in names:
            with self._reported(name):
                self._open[name] = TRACKERS[name](self._training, resumed=resumed.get(name), first_step=first_step)
        _write_ids(self._training.work, {name: tracker.id for name, tracker in self._open.items()})

    def _send(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._each(lambda tracker: tracker.send(lines))
        self._sent = time.monotonic()

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            with self._reported(name):
                action(tracker)

    @contextmanager
    def _reported(self, name: str) -> Iterator[None]:
        """Report any error of a tracker, and do without it from then on."""
        try:
            yield
        except Exception as error:  # a package of others, and the network
            self._open.pop(name, None)
            self._report(
                f"{self._training.name}: nothing more is sent to {name} ({type(error).__name__}: {error}); the training"
                " goes on, and log.jsonl has every line"
            )


def numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a line of the training log by name, without the step and what is not finite.

    A value inside an object has the names of both, such as `losses/total` or `scores/test/accuracy`.
    """
    found: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{inner}": number for inner, number in numbers(value).items()}
        elif value is not None and name != "step":
            found[name] = value
    return found


def _last_step(work: Path) -> int:
    """Return the step of the last line of the log; 0 if it cannot be read."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        return int(json.loads((work / LOG).read_text(encoding="utf-8").splitlines()[-1])["step"])
    return 0


def _read_ids(work: Path) -> dict[str, str]:
    with suppress(OSError, ValueError, TypeError):
        ids = json.loads((work / IDS).read_text(encoding="utf-8"))
        return {name: str(identifier) for name, identifier in dict(ids).items()}
    return {}


def _write_ids(work: Path, ids: Mapping[str, str]) -> None:
    with suppress(OSError):  # without this file a resumed training is a new run of its trackers
        write_atomically(work / IDS, json.dumps(ids).encode())
