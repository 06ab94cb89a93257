"""TensorBoard: event files in `tensorboard/` in the folder of all runs, or in $TENSORBOARD_LOGGING_DIR."""

import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from harness.tracking.tracker import LogLine, TrackedTraining


class TensorBoard:
    """Scalars by step, and the recipe as text. Steps that are taken again after a kill replace the earlier ones."""

    def __init__(self, training: TrackedTraining, *, resumed: str | None, first_step: int) -> None:
        folder = Path(os.environ.get("TENSORBOARD_LOGGING_DIR") or training.folder / "tensorboard")
        self.id = resumed or str(_new_folder(folder / training.name))
        writer = import_module("torch.utils.tensorboard").SummaryWriter
        self._writer = writer(self.id, purge_step=first_step if resumed else None)
        if not resumed:
            text = json.dumps(training.config, indent=2)
            self._writer.add_text("recipe", "".join(f"    {line}\n" for line in text.splitlines()))

    def send(self, lines: Sequence[LogLine]) -> None:
        """Write the lines."""
        for line in lines:
            for name, value in line.values.items():
                self._writer.add_scalar(name, value, line.step)
        self._writer.flush()

    def close(self, results: LogLine, *, is_complete: bool) -> None:
        """Write the scores, and close the file."""
        del is_complete  # TensorBoard has no state of a run
        self.send([results])
        self._writer.close()


def _new_folder(folder: Path) -> Path:
    """Return this folder, or one with a number if it exists: a training that is made again is another run."""
    candidate, number = folder, 2
    while candidate.exists():
        candidate, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return candidate
