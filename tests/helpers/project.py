"""Paths, a small recipe, and the types of the fixtures that run commands and write recipes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHECKOUT_FOLDERS = ("zoo", "harness", "leaderboard", "configs")
"""The folders of a checkout that a command needs."""


@dataclass(frozen=True)
class CompletedCommand:
    """How a command ended: its exit code, its stdout and its stderr."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of stderr."""
        return self.err.splitlines()


Zoo = Callable[..., CompletedCommand]
"""Runs a `zoo` command with these arguments."""

TINY = """\
name: tiny
task: digits
model: {use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}
stages:
  - epochs: 1
    batch_size: 64
    optimizer: {use: SGD, lr: 0.1, momentum: 0.9}
    schedule: {use: linear, warmup: 0.2}
    clip_norm: 1.0
    criterion:
      ce: {loss: CrossEntropy}
"""
"""A recipe that trains in a second."""

Write = Callable[..., Path]
"""Writes a recipe and returns its path."""
