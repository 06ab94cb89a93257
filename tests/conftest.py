"""Fixtures: recipes, a copy of the checkout that a test may damage, and the command line in and out of this process."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # set before torch starts, because tests run side by side
os.environ |= {"HF_ENDPOINT": "http://127.0.0.1:9", "ZOO_DEADLINE": "2"}  # tests reach only servers that they start

import gc
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.device import DEVICES, choose_device, skip_other_devices
from tests.helpers.project import ROOT, TINY, CompletedCommand, Write, Zoo
from zoo import paths
from zoo.cli import main

settings.register_profile("no-deadline", deadline=None)  # a busy machine is slow, which is not a failure
settings.register_profile("nightly", deadline=None, max_examples=1000)
settings.register_profile("fuzz", deadline=None, max_examples=40_000)  # of `tests/system/test_fuzz.py`: 5 minutes
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "no-deadline"))


SEVERAL_COMMANDS = """
import sys
from zoo.cli import main
for command in {}:
    sys.argv = ["zoo", *command]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""

# GNU readline exports the size of the terminal, and the processes of pytest-xdist inherit it.
os.environ.pop("COLUMNS", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option `--device`."""
    parser.addoption("--device", choices=DEVICES, help="the device on which tests run models (default: cpu)")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the device before any test module is imported."""
    choose_device(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run a command in a new process, and skip those of another device."""
    for item in items:
        if {"zoo_process", "zoo_commands_process"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.process)
    skip_other_devices(items)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while test modules are imported, nor search them for garbage later, as trainings would."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture
def zoo(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """Run a `zoo` command in this process, in an empty folder that also holds its runs."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> CompletedCommand:
        monkeypatch.setattr(sys, "argv", ["zoo", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return CompletedCommand(int(end.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def zoo_process(tmp_path: Path) -> Zoo:
    """Run `python -m zoo` in a new process. `root` is the checkout to run; other keywords set the environment."""

    def run(*args: object, root: Path = ROOT, **env: str) -> CompletedCommand:
        return _start_python(["-m", "zoo", *map(str, args)], tmp_path, **{"PYTHONPATH": str(root), **env})

    return run


@pytest.fixture
def zoo_commands_process(tmp_path: Path) -> Zoo:
    """Run several `zoo` commands one after another in one new process, which ends with the first that fails."""

    def run(*commands: Sequence[str], **env: str) -> CompletedCommand:
        return _start_python(["-c", SEVERAL_COMMANDS.format(commands)], tmp_path, **{"PYTHONPATH": str(ROOT), **env})

    return run


def _start_python(arguments: Sequence[str], folder: Path, **env: str) -> CompletedCommand:
    environment = {**os.environ, "ZOO_HOME": str(folder / "home"), **env}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)
    return CompletedCommand(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the recipes and of the starter files that this process uses, and that a test may damage."""
    root = tmp_path / "damaged"
    shutil.copytree(ROOT / "configs", root / "configs")
    shutil.copytree(ROOT / "zoo" / "starter", root / "zoo" / "starter")
    (root / "zoo" / "docs").mkdir()
    for name in ("verdicts.md", "verdicts.svg", "audit.md"):
        shutil.copyfile(ROOT / "docs" / name, root / "zoo" / "docs" / name)
    monkeypatch.setattr(paths, "configs", lambda: root / "configs")
    monkeypatch.setattr(paths, "PACKAGE", root / "zoo")
    return root


@pytest.fixture
def recipe_file(tmp_path: Path) -> Write:
    """Write a recipe, the tiny one by default, with pairs of texts replaced. Returns its path."""

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
