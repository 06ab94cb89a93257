"""Warn when other programs use the processors that a training's threads need.

An operation that several threads share ends with its slowest thread. The other threads wait for it in a loop, which
is fastest on an idle machine, but takes processor time from the slow thread on a busy one.
"""

import os
import time

import psutil
import torch

from zoo.progress import Report, Step

SECONDS = 20.0


class LoadWatch:
    """Pass the progress of a training on, and report once if other programs are busy on its processors."""

    def __init__(self, progress: Step, report: Report, name: str, seconds: float = SECONDS) -> None:
        """Start to measure.

        Args:
            progress: Called with each step.
            report: Shows a message.
            name: The recipe's name.
            seconds: How long to measure.
        """
        self.progress, self.report, self.name, self.seconds = progress, report, name, seconds
        self._process = psutil.Process()
        self._started, self._own = time.monotonic(), self._own_seconds()
        self._measured = torch.get_num_threads() == 1 or "OMP_WAIT_POLICY" in os.environ
        psutil.cpu_percent(percpu=True)  # the next call returns the mean since this one

    def __call__(self, done: int, total: int, note: str = "", seconds_left: float | None = None) -> None:
        """Pass a step on."""
        self.progress(done, total, note, seconds_left)
        elapsed = time.monotonic() - self._started
        if not self._measured and elapsed >= self.seconds:
            self._measured = True
            self._warn(elapsed)

    def _warn(self, elapsed: float) -> None:
        percent = psutil.cpu_percent(percpu=True)
        ours = self._process.cpu_affinity() if hasattr(self._process, "cpu_affinity") else range(len(percent))
        usable = [percent[number] for number in ours if number < len(percent)]
        own = (self._own_seconds() - self._own) / elapsed
        other = max(0.0, sum(usable) / 100 - own)
        threads = torch.get_num_threads()
        if other + threads > len(usable) + 0.5:
            self.report(
                f"{self.name}: other programs use {other:.1f} of {len(usable)} processors, and this training has "
                f"{threads} threads. If it is slow, stop it and run it again with OMP_NUM_THREADS=1, or with "
                "OMP_WAIT_POLICY=PASSIVE for the same digits (docs/speed.md)"
            )

    def _own_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)
