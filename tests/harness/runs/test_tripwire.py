"""The tripwire refuses what no run needs, and lets through what runs do."""

import importlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from harness.evaluation.split_runner import SplitRunner
from harness.losses import CrossEntropy
from harness.models.environment import accelerator_on
from harness.runs.experiment import RunContext, prepare
from harness.runs.shared_tasks import SharedTasks
from harness.runs.tripwire import ForbiddenActionError, tripwire
from tests.helpers.device import device
from tests.helpers.project import TINY, Write, Zoo
from zoo.recipes import catalogue
from zoo.recipes.build import Builder

RESERVED = ("192.0.2.1", 9)
"""An address that nobody has."""
EVERYWHERE = ("0.0.0.0", 0)  # noqa: S104


def connect_locally() -> None:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())


def in_open_folder(folder: Path, action: Callable[[int], object]) -> None:
    """Act in an open folder: paths relative to it say nothing of where it is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        action(descriptor)
    finally:
        os.close(descriptor)


def use_socket(family: int, action: Callable[[socket.socket], object]) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as created:
        action(created)


def write_in_changed_temporary_folder(folder: Path) -> None:
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        tempfile.mkdtemp()
    finally:
        tempfile.tempdir = before


def write_to_changed_output(folder: Path) -> None:
    """Make another file standard output, as any code may, and open standard output by its name."""
    before, other = os.dup(1), os.open(folder / "old", os.O_RDONLY)
    os.dup2(other, 1)
    try:
        Path("/dev/stdout").open("a").close()
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(other)


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
    "a second name": (lambda folder: (folder / "run" / "x").hardlink_to(folder / "old"), "write /.*/old"),
    "rights": (lambda folder: (folder / "old").chmod(0o777), "write /.*/old"),
    "a time": (lambda folder: os.utime(folder / "old", (0, 0)), "write /.*/old"),
    "an owner": (lambda folder: os.chown(folder / "old", -1, -1), "write /.*/old"),
    "bytecode": (lambda folder: (folder / "new.pyc").write_bytes(b"x"), "write /.*/new.pyc"),
    "bytecode in a cache": (lambda folder: (folder / "__pycache__").mkdir(), "write /.*/__pycache__"),
    "a temporary folder elsewhere": (lambda folder: tempfile.mkdtemp(dir=folder), "write /.*/tmp"),
    "a temporary file elsewhere": (lambda folder: tempfile.mkstemp(dir=folder), "write /.*/tmp"),
    "another temporary folder": (write_in_changed_temporary_folder, "write /.*/tmp"),
    "a file in an open folder": (
        lambda folder: in_open_folder(folder, lambda at: os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=at)),
        "write new, which may be in any open folder",
    ),
    "a folder in an open folder": (
        lambda folder: in_open_folder(folder, lambda at: os.mkdir("new", dir_fd=at)),
        "write /.*/new",
    ),
    "a removed file in an open folder": (
        lambda folder: in_open_folder(folder, lambda at: os.unlink("old", dir_fd=at)),
        "write /.*/old",
    ),
    "a file moved out of an open folder": (
        lambda folder: in_open_folder(folder, lambda at: os.rename("old", folder / "run" / "x", src_dir_fd=at)),
        "write /.*/old",
    ),
    "a link in an open folder": (
        lambda folder: in_open_folder(folder, lambda at: os.symlink("/etc", "new", dir_fd=at)),
        "write /.*/new",
    ),
    "a database": (lambda folder: sqlite3.connect(folder / "new"), "write /.*/new"),
    "a database by its address": (
        lambda folder: sqlite3.connect(f"file:{folder / 'new'}?mode=rwc", uri=True),
        "write /.*/new",
    ),
    "memory": (lambda _: os.open("/proc/self/mem", os.O_RDWR), "write /proc/.*/mem"),
    "a device": (lambda _: os.open("/dev/mem", os.O_RDWR), "write /dev/mem"),
    "a copy of this process": (lambda _: os._exit(0) if os.fork() == 0 else None, "start a program"),
    "a datagram": (
        lambda _: use_socket(socket.AF_INET, lambda created: created.sendto(b"x", RESERVED)),
        "connect to 192.0.2.1",
    ),
    "a message": (
        lambda _: use_socket(socket.AF_INET, lambda created: created.sendmsg([b"x"], [], 0, RESERVED)),
        "connect to 192.0.2.1",
    ),
    "a server": (lambda _: use_socket(socket.AF_INET, lambda created: created.bind(EVERYWHERE)), "listen at 0.0.0.0"),
    "a socket of this machine": (
        lambda folder: use_socket(socket.AF_UNIX, lambda created: created.connect("/run/docker.sock")),
        "connect to the socket '/run/docker.sock'",
    ),
    "a socket without a file": (
        lambda folder: use_socket(socket.AF_UNIX, lambda created: created.connect(b"\0bus")),
        "connect to the socket",
    ),
    "a new socket": (
        lambda folder: use_socket(socket.AF_UNIX, lambda created: created.bind("new")),
        "listen at the socket 'new'",
    ),
    "another file as standard output": (write_to_changed_output, "write /.*/old"),
    "the address of bytes": (
        lambda _: socket.gethostbyname(bytearray(b"example.org")),  # type: ignore[arg-type]
        "look up the address of example.org",
    ),
    "a host behind this machine's address": (
        lambda _: socket.getaddrinfo("::1%a.example.org", 80),
        "look up the address of ::1%a.example.org",
    ),
    "the name of an address and a port": (lambda _: socket.getnameinfo(RESERVED, 0), "look up the address of 192.0.2"),
    "another name of this machine": (lambda _: socket.sethostname(socket.gethostname()), "rename this machine"),
    "the name of an address": (lambda _: socket.gethostbyaddr("192.0.2.1"), "look up the address of 192.0.2.1"),
    "a connection beside a compiler": (
        lambda _: torch._dynamo.disable(socket.create_connection)(RESERVED, 0.1),
        "look up|connect to 192.0.2.1",
    ),
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
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python compiles a module before it runs it
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


def outgrow_the_memory() -> None:
    with tempfile.SpooledTemporaryFile() as file:
        file.rollover()


HARMLESS: dict[str, Callable[[], object]] = {
    "standard output": lambda: Path("/dev/stdout").open("a").close(),
    "standard error": lambda: os.close(os.open("/dev/fd/2", os.O_WRONLY)),
    "no output": lambda: Path(os.devnull).write_text("x"),
    "random numbers": lambda: os.close(os.open("/dev/urandom", os.O_RDWR)),
    "a file without a name": lambda: tempfile.TemporaryFile().close(),
    "a file that is removed when it is closed": lambda: tempfile.NamedTemporaryFile().close(),
    "a file that outgrows the memory": outgrow_the_memory,
    "the full name of this machine": lambda: (socket.getfqdn(), socket.getfqdn("127.0.0.1")),
    "the address of this machine": lambda: socket.getaddrinfo("localhost", 0) + socket.getaddrinfo(None, 0),
    "the settings of matplotlib": lambda: (Path.home() / ".config" / "matplotlib").mkdir(parents=True),
    "bytecode in its own folder": lambda: importlib.import_module("tabnanny"),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_libraries_do_everywhere_is_let_through(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setattr(sys, "pycache_prefix", str(folder / "bytecode"))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    with tripwire([folder / "run"]):
        HARMLESS[name]()


def test_files_that_compiled_code_opens_are_not_seen(folder: Path) -> None:
    """SECURITY.md says so; a version of torch or safetensors that reports them makes it untrue."""
    with tripwire([folder / "run"]):
        torch.save({"a": torch.zeros(1)}, folder / "new.pt")
        save_file({"a": torch.zeros(1)}, folder / "new.safetensors")
    assert (folder / "new.pt").exists()
    assert (folder / "new.safetensors").exists()


@pytest.mark.slow
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
    assert zoo("train", path, "--device", device(), "--out", "good").code == 0
    monkeypatch.setattr(CrossEntropy, "forward", Phoning.forward)
    refused = zoo("train", path, "--device", device(), "--out", "refused")
    assert refused.code == 2
    assert "refused to connect to 127.0.0.1" in refused.err
    assert not Path("refused", "record.json").exists()
    trusted = zoo("train", path, "--device", device(), "--trust", "tests", "--out", "trusted")
    assert "connected" in trusted.err


def test_building_a_task_and_predicting_for_a_submission_are_watched(
    recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = catalogue.local(Path(recipe_file(TINY)))
    context = RunContext(builder=Builder(), accelerator=accelerator_on(device()), runs=tmp_path)
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
