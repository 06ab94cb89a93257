"""One use of the benchmark: its device, its time, and the record that its parts write as they measure."""

import json
import math
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.measurements import PACKAGES, commit, cpu_model
from harness.models.provenance import package_versions
from zoo.files import write_atomically

ROOT = Path(__file__).parents[2]
GIB = 2**30


class NotRunError(Exception):
    """A part, or a row of one, cannot be run. The message is the reason."""


@dataclass(kw_only=True)
class Session:
    """The device and the sizes, the time that is left, the folder of the data, and the record.

    Attributes:
        device: "cuda" or "cpu".
        quick: Whether sizes are tiny, to check that everything runs.
        seconds: The seconds for all parts together.
        folder: A temporary folder.
        out: The file of the record.
        logs: The folder of the tests' output.
        record: The machine, and the numbers of each part. It is a value of JSON.
    """

    device: str
    quick: bool
    seconds: float
    folder: Path
    out: Path
    logs: Path
    record: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    stack: ExitStack = field(default_factory=ExitStack)
    """Closes what parts leave open, when the last one has ended."""
    preparation: Any = None
    """The `benchmarks.gpu.entries.Preparation`, once it is started."""

    @property
    def deadline(self) -> float:
        """The value of `time.monotonic()` at which the time is used up."""
        return self.started + self.seconds

    @property
    def seconds_left(self) -> float:
        """The seconds that are left, at least 0."""
        return max(self.deadline - time.monotonic(), 0.0)

    def load_record(self) -> None:
        """Start from the record of an earlier use on the same machine, so that parts can be run one by one."""
        machine = machine_of(self.device)
        before = json.loads(self.out.read_text(encoding="utf-8")) if self.out.exists() else {}
        is_same = before.get("machine") == machine and before.get("quick", False) == self.quick
        self.record = before if is_same else {"machine": machine, "quick": self.quick, "parts": {}}

    def save(self, part: str, **content: Any) -> None:
        """Add content to a part of the record, and write the record."""
        self.record["parts"].setdefault(part, {}).update(content)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.out, json.dumps(self.record, indent=1) + "\n")

    def begin(self, part: str) -> None:
        """Forget the earlier numbers of a part."""
        self.record["parts"].pop(part, None)
        self.save(part, commit=commit())

    def run(
        self, command: Sequence[str | Path], log: Path, *, limit: float = math.inf, **environment: str
    ) -> tuple[int | None, float]:
        """Run a Python module in the checkout, and end it with its children when the time is used up.

        Args:
            command: The module and its arguments.
            log: The file for its stdout. Its stderr goes to the same name with the ending `.err`.
            limit: The seconds that it may take, also if more are left.
            **environment: Variables that are set for it.

        Returns:
            The exit code, or None if it was ended, and the seconds that it took.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        with log.open("w", encoding="utf-8") as out, log.with_suffix(".err").open("w", encoding="utf-8") as err:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", *map(str, command)], cwd=ROOT, env=python_environment(environment),
                stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip
            try:
                code: int | None = process.wait(min(self.seconds_left, limit))
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with suppress(ProcessLookupError):  # also its children, which may outlive it
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return code, time.monotonic() - start


def python_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that imports this checkout, with changes."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **changes}


def machine_of(device: str) -> dict[str, Any]:
    """Return the card with its driver and memory, the processor, and the versions of the software."""
    here: dict[str, Any] = {"cpu": cpu_model(), "cores": os.cpu_count(), "python": platform.python_version()}
    here |= package_versions(PACKAGES)
    if device == "cpu":
        return {"card": None, **here}
    return {
        "card": torch.cuda.get_device_name(),
        "memory_gib": round(torch.cuda.get_device_properties(0).total_memory / GIB, 1),
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        **here,
    }


def _driver() -> str:
    """Return the version of the driver, as nvidia-smi prints it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown"
    query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    lines = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()  # noqa: S603
    return lines[0] if lines else "unknown"
