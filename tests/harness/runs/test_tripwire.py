"""The tripwire refuses what no run needs, and lets through what runs do."""

import importlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from harness.evaluation.evaluate import SplitRunner
from harness.losses import CrossEntropy
from harness.models.environment import accelerator_on
from harness.runs.experiment import RunContext, prepare
from harness.runs.shared_tasks import SharedTasks
from harness.runs.tripwire import ForbiddenActionError, tripwire
from tests.helpers.project import TINY, Write, Zoo
from zoo.recipes import catalogue
from zoo.recipes.build import Builder

RESERVED = ("192.0.2.1", 9)
"""An address that nobody has."""


def connect_locally() -> None:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a connection": (lambda _: socket.create_connection(RESERVED, 0.1), "look up|connect to 192.0.2.1"),
    "a connection to this machine": (lambda _: connect_locally(), "connect to 127.0.0.1"),
    "an address": (lambda _: socket.getaddrinfo("example.org", 80), "look up the address of example.org"),
    "a process": (lambda _: subprocess.run(["true"], check=False), "start the program 'true'"),
    "a shell": (lambda _: os.system("true"), "start the program 'true'"),  # noqa: S605
    "a spawned process": (lambda _: os.posix_spawn("/bin/true", ["true"], {}), "start the program '/bin/true'"),
    "a new file": (lambda folder: (folder / "new").write_text("x"), "write /.*/new"),
    "a changed file": (lambda folder: (folder / "old").open("a"), "write /.*/old"),
    "a low-level write": (lambda folder: os.open(folder / "new", os.O_CREAT | os.O_WRONLY), "write /.*/new"),
    "a removed file": (lambda folder: (folder / "old").unlink(), "write /.*/old"),
    "a moved file": (lambda folder: (folder / "old").rename(folder / "run" / "x"), "write /.*/old"),
    "a file moved here": (lambda folder: (folder / "run" / "mine").rename(folder / "x"), "write /.*/x"),
    "a folder": (lambda folder: (folder / "new").mkdir(), "write /.*/new"),
    "a link": (lambda folder: (folder / "new").symlink_to("/etc"), "write /.*/new"),
    "a removed tree": (lambda folder: shutil.rmtree(folder / "tree"), "write /.*/tree"),
    "a way out of the folder": (lambda folder: (folder / "run" / ".." / "new").write_text("x"), "write /.*/new"),
    "a way through a link": (lambda folder: (folder / "run" / "link" / "new").write_text("x"), "write /.*/tree/new"),
    "a module in this folder": (
        lambda _: importlib.import_module("shadowing_module"),
        "import /.*/shadowing_module.py",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run, and with other files that the run must not change."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("mine")
    (tmp_path / "run" / "link").symlink_to(tmp_path / "tree")
    (tmp_path / "old").write_text("old")
    (tmp_path / "shadowing_module.py").write_text("raise AssertionError('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_run_needs_is_refused_and_not_done(name: str, folder: Path) -> None:
    action, message = REFUSED[name]
    before = sorted(folder.rglob("*"))
    with tripwire([folder / "run"]), pytest.raises(ForbiddenActionError, match=f"refused to ({message}).*--trust"):
        action(folder)
    assert sorted(folder.rglob("*")) == before
    assert (folder / "old").read_text() == "old"


def test_what_runs_do_is_let_through(folder: Path) -> None:
    with tripwire([folder / "run"]):
        assert (folder / "old").read_text() == "old"
        torch.save({"a": torch.zeros(1)}, folder / "run" / "weights.pt")
        (folder / "run" / "new").mkdir(parents=True)
        with tempfile.TemporaryDirectory() as temporary:
            (Path(temporary) / "x").write_text("x")
        importlib.import_module("colorsys")
        importlib.import_module("tabulate")
        with pytest.raises(ImportError):
            importlib.import_module("nobody_has_this_module")
    (folder / "new").write_text("after the run")


@pytest.mark.process
def test_workers_and_processes_of_libraries_are_let_through(folder: Path) -> None:
    data = TensorDataset(torch.arange(8))
    with tripwire([folder / "run"]):
        for start in ("fork", "spawn"):
            loader = DataLoader(data, batch_size=2, num_workers=2, multiprocessing_context=start)
            assert sum(len(batch) for (batch,) in loader) == 8


class Phoning(nn.Module):
    """Connects in its forward pass."""

    def forward(self, student: object, teacher: object, labels: Tensor) -> Tensor:
        connect_locally()
        raise AssertionError("connected")


def test_a_run_of_a_recipe_that_is_not_shipped_is_watched(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file(TINY)
    assert zoo("train", path, "--device", "cpu", "--out", "good").code == 0
    monkeypatch.setattr(CrossEntropy, "forward", Phoning.forward)
    refused = zoo("train", path, "--device", "cpu", "--out", "refused")
    assert refused.code == 2
    assert "refused to connect to 127.0.0.1" in refused.err
    assert not Path("refused", "record.json").exists()
    trusted = zoo("train", path, "--device", "cpu", "--trust", "tests", "--out", "trusted")
    assert "connected" in trusted.err


def test_building_a_task_and_predicting_for_a_submission_are_watched(
    recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = catalogue.local(Path(recipe_file(TINY)))
    context = RunContext(builder=Builder(), accelerator=accelerator_on("cpu"), runs=tmp_path)
    experiment = prepare(entry, context)
    monkeypatch.setattr(SplitRunner, "outputs", lambda *_: connect_locally())
    with pytest.raises(ForbiddenActionError, match=r"refused to connect to 127\.0\.0\.1"):
        experiment.predictions(nn.Linear(1, 1), "test")
    monkeypatch.setattr(SharedTasks, "task", lambda *_: connect_locally())
    with pytest.raises(ForbiddenActionError, match=r"refused to connect to 127\.0\.0\.1"):
        prepare(entry, context)


def test_a_run_that_ends_leaves_the_folders_of_a_run_in_another_thread(tmp_path: Path) -> None:
    first, second = tripwire([tmp_path / "first"]), tripwire([tmp_path / "second"])
    (tmp_path / "second").mkdir()
    with first:
        second.__enter__()
    (tmp_path / "second" / "file").write_text("x")
    with pytest.raises(ForbiddenActionError):
        (tmp_path / "file").write_text("x")
    second.__exit__(None, None, None)
    (tmp_path / "file").write_text("x")
