"""Run `zoo verify` and write where its time goes: `python -m benchmarks.gpu.timed_verify FILE ARGUMENT...`.

Functions of zoo are wrapped by clocks. The time of a function excludes that of other wrapped functions that it calls.
The next entry is prepared in another thread while one is evaluated, so there is a time for each thread.
"""

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

PHASES = {
    "zoo.fetch.repository:sha256": "checksums of the files",
    "zoo.models.published:published_classifier": "loading the weights",
    "zoo.tasks.glue:read_repository": "reading the rows",
    "zoo.tasks.splits:tokenize": "reading the tokens",
    "harness.evaluation.split_runner:place_model": "moving the model to the device",
    "harness.evaluation.split_runner:SplitRunner.checked_outputs": "forward passes, with their strict check",
    "harness.evaluation.evaluate:score": "scores",
    "harness.runs.record_runs:write_record": "records",
    "harness.runs.verify:judge_entries": "judging",
}
"""The functions, as `module:name` where they are called or `module:class.name`, and what they do."""


def owner_of(name: str) -> tuple[Any, str]:
    """Return the module or class that has a function of `PHASES`, and the name of the function there."""
    module, _, path = name.partition(":")
    owner, _, attribute = path.rpartition(".")
    found = import_module(module)
    return (getattr(found, owner) if owner else found), attribute


class Clocks:
    """The seconds of each phase, by thread: `main`, or `ahead` for the preparation of the next entry."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._inner = threading.local()

    def wrap(self, name: str, phase: str) -> None:
        """Replace a function, or do nothing if there is no such function."""
        owner, attribute = owner_of(name)
        if hasattr(owner, attribute):
            setattr(owner, attribute, self._timed(getattr(owner, attribute), phase))

    def _timed(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            before, self._inner.seconds = getattr(self._inner, "seconds", 0.0), 0.0
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds = time.perf_counter() - start
                thread = "main" if threading.current_thread() is threading.main_thread() else "ahead"
                self.seconds[phase][thread] += seconds - self._inner.seconds
                self._inner.seconds = before + seconds

        return timed


def main() -> None:
    """Run the command, and write the seconds of the phases also if it fails."""
    start = time.perf_counter()
    file, *arguments = sys.argv[1:]
    clocks = Clocks()
    for name, phase in PHASES.items():
        clocks.wrap(name, phase)
    clocks.seconds["imports"]["main"] = time.perf_counter() - start
    sys.argv = ["zoo", "verify", *arguments]
    try:
        import_module("zoo.cli").main()
    finally:
        clocks.seconds["whole command"]["main"] = time.perf_counter() - start
        Path(file).write_text(json.dumps(clocks.seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
