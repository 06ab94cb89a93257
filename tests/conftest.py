"""Fixtures: the shipped entries, a folder of recipes of one's own, and the command line as a user runs it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
Zoo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    """Run `python -m zoo` in an empty folder, on the CPU, with its runs there; `root` is another checkout's path."""

    def run(*args: str, root: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "ZOO_HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(root),
            "NO_COLOR": "1",
            **env,
        }
        return subprocess.run(
            [sys.executable, "-m", "zoo", *args],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            check=False,
        )

    return run


@pytest.fixture
def copy_of_checkout(tmp_path: Path) -> Path:
    """A copy of the checkout's code, recipes and weights that a test may damage."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("zoo", "harness", "leaderboard", "configs"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


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


@pytest.fixture
def recipe_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a recipe, the tiny one unless given, with texts in it replaced."""

    def write(text: str | bytes = TINY, /, *replaced: tuple[str, str], name: str = "tiny.yaml") -> Path:
        path = tmp_path / name
        if isinstance(text, str):
            for before, after in replaced:
                assert before in text
                text = text.replace(before, after)
            text = text.encode()
        path.write_bytes(text)
        return path

    return write
