"""Windows has no `fcntl`, no alarm signal and no `os.pread`: modules import, and commands run, without them."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.project import ROOT
from zoo.files import link_or_copy
from zoo.tasks.decoded_images import DecodedImages

POSIX_ONLY = ("curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
"""Modules of the standard library that Windows lacks."""
MISSING_IN_OS = (
    "chown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getloadavg", "getpgid", "getuid", "killpg", "mkfifo",
    "nice", "pread", "pwrite", "sched_getaffinity", "setsid", "statvfs", "sysconf", "uname",
)  # fmt: skip
MISSING_IN_SIGNAL = (
    "ITIMER_REAL", "SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "alarm", "getitimer", "pthread_sigmask",
    "setitimer",
)  # fmt: skip
PACKAGES = ("zoo", "harness", "leaderboard")
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NAMES = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in MODULES]
OPTIONAL = ("harness.fleet.ray_", "harness.attestation.sigstore")
"""Modules that need packages which are not always installed."""
IMPORTED = [name for name in NAMES if not name.startswith(OPTIONAL) and not name.endswith("__main__")]
AS_ON_WINDOWS = f"""
import os, signal, sys
from importlib import import_module
for name in {IMPORTED!r}:
    import_module(name)  # the libraries that it imports find what this system has
for name in [name for name in sys.modules if name.split(".")[0] in {PACKAGES!r}]:
    del sys.modules[name]
for name in {POSIX_ONLY!r}:
    sys.modules[name] = None  # importing it is an ImportError
for module, names in ((os, {MISSING_IN_OS!r}), (signal, {MISSING_IN_SIGNAL!r})):
    for name in names:
        vars(module).pop(name, None)
"""
"""Hides what Windows lacks from the modules of this project."""


def test_no_module_imports_what_windows_lacks() -> None:
    found = {
        str(path): alias.name
        for path in MODULES
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in ([ast.alias(str(node.module))] if isinstance(node, ast.ImportFrom) else node.names)
        if alias.name in POSIX_ONLY
    }
    assert found == {}


def test_images_are_stored_without_reads_at_a_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pread", "pwrite"):
        monkeypatch.delattr(os, name, raising=False)
    images = DecodedImages(3, tmp_path)
    pixels = [torch.full((3, 2, 2), value, dtype=torch.uint8) for value in range(3)]
    for row in (2, 0):
        images.put(row, pixels[row])
    for row, stored in enumerate((True, False, True)):
        found = images.get(row)
        assert (found is not None) == stored
        assert found is None or torch.equal(found, pixels[row])
    images.close()


def test_a_file_is_copied_where_links_are_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(link: Path, target: Path) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("content")
    monkeypatch.setattr(Path, "symlink_to", refuse)
    link_or_copy(target, link)
    assert (link.read_text(), link.is_symlink()) == ("content", False)


@pytest.mark.slow
@pytest.mark.process
def test_all_modules_import_without_what_windows_lacks() -> None:
    _run(f"for name in {IMPORTED!r}:\n    import_module(name)")


@pytest.mark.slow
@pytest.mark.process
def test_commands_work_without_what_windows_lacks() -> None:
    commands = [
        ["--help"],
        ["list"],
        ["check", "--suite", "starter"],
        ["verify", "--suite", "starter", "--fresh", "--time-limit", "10min"],
        ["train", "digits-resnet8", "--seed", "7", "--time-limit", "10min"],
    ]
    _run(f"""
from zoo.cli import main
for command in {commands!r}:
    sys.argv = ["zoo", *command]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (command, end.code)
""")


def _run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", AS_ON_WINDOWS + code], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
