"""Fixtures: own recipes, a checkout that a test may damage, and the command line in and out of this process."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts: tests run side by side
os.environ |= {"HF_ENDPOINT": "http://127.0.0.1:9", "ZOO_DEADLINE": "2"}  # no test reaches a Hub that it did not start

import gc
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.project import ROOT, TINY, Ended, Write, Zoo
from zoo import paths
from zoo.cli.app import main

settings.register_profile("noisy", deadline=None)  # machines are, and a slow example is not a wrong one
settings.load_profile("noisy")


def pytest_collection_finish() -> None:
    """Leave all that was imported out of the collections of garbage, of which every training run makes some."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def zoo(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """Run a `zoo` command in this process, in an empty folder, on the CPU, with its runs there."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["zoo", *map(str, args)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def zoo_process(tmp_path: Path) -> Zoo:
    """Run `python -m zoo` in a process of its own; `root` is another checkout's path."""

    def run(*args: object, root: Path = ROOT, **env: str) -> Ended:
        environment = {**os.environ, "ZOO_HOME": str(tmp_path / "home"), "PYTHONPATH": str(root), **env}
        command = [sys.executable, "-m", "zoo", *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the recipes and the starter files that this process uses instead of its own, and a test may damage."""
    root = tmp_path / "damaged"
    shutil.copytree(ROOT / "configs", root / "configs")
    shutil.copytree(ROOT / "zoo" / "starter", root / "zoo" / "starter")
    monkeypatch.setattr(paths, "configs", lambda: root / "configs")
    monkeypatch.setattr(paths, "PACKAGE", root / "zoo")
    return root


@pytest.fixture
def recipe_file(tmp_path: Path) -> Write:
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
