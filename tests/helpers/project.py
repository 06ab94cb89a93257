"""Paths, a small recipe and the types of the fixtures that run commands."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("zoo", "harness", "leaderboard", "configs")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


Zoo = Callable[..., Ended]

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
Write = Callable[..., Path]
