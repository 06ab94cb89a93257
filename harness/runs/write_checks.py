"""Check events of files for the tripwire. Each check returns the problem with one event, or None.

A run may write in its own folder, in those of caches and of temporary files, and to devices that keep nothing.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from harness.runs.call_stack import is_running
from zoo import paths

_fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None  # Windows has no such module, nor open folders
CACHES = (
    "CUDA_CACHE_PATH", "CUPY_CACHE_DIR", "HF_ASSETS_CACHE", "HF_DATASETS_CACHE", "HF_HOME", "HF_HUB_CACHE",
    "HF_XET_CACHE", "JOBLIB_TEMP_FOLDER", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR",
    "TORCH_EXTENSIONS_DIR", "TORCH_HOME", "TRITON_CACHE_DIR", "TRITON_HOME", "XDG_CACHE_HOME",
)  # fmt: skip
"""Environment variables that name the folder of a cache."""
HOME_CACHES = (".cache", ".triton", ".nv", ".matplotlib", ".config/matplotlib", ".cupy", "Library/Caches")
"""Folders of caches below the user's own folder, where no variable names another."""
DEVICES = ("null", "zero", "full", "random", "urandom", "shm", "tty", "dri", "kfd")
"""Devices in `/dev` that keep nothing, shared memory, and the graphics processors of Intel and AMD."""
NVIDIA = "/dev/nvidia"
"""The beginning of the names of NVIDIA's devices."""
TEMPORARY = ("pymp-", "torch", "joblib", "triton")
"""Beginnings of names in the folder of temporary files that libraries choose without asking `tempfile`."""
IMPORTS = ("importlib._bootstrap_external", "_frozen_importlib_external")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass
class _Permissions:
    """The files that the current runs may write. Only the folders change after the first run has begun."""

    folders: list[str] = field(default_factory=list)
    temporary: str = ""
    """The folder of temporary files: a run can change `tempfile.tempdir`."""
    bytecode: str = ""
    """The folder of PYTHONPYCACHEPREFIX, with a separator at its end, or an empty text."""
    output: frozenset[tuple[int, int]] = frozenset()
    """The identities of the files that are standard output and standard error."""


_permissions = _Permissions()


def permit(folders: Sequence[Path], *, is_first: bool) -> None:
    """Let a run write in its folders and in those of caches; the first of several runs fixes the rest."""
    added = [os.path.realpath(folder) for folder in (*folders, *_cache_folders())]
    if is_first:
        _permissions.temporary = os.path.realpath(tempfile.gettempdir())
        _permissions.bytecode = f"{os.path.realpath(sys.pycache_prefix)}{os.sep}" if sys.pycache_prefix else ""
        _permissions.output = frozenset(filter(None, map(_identity, (1, 2))))
    _permissions.folders = [*_permissions.folders, *added]


def forget() -> None:
    """Forget the folders when the last run has ended."""
    _permissions.folders = []


def _cache_folders() -> Iterator[Path]:
    yield from (paths.home(), Path(constants.HF_HOME), Path(constants.HF_HUB_CACHE))
    yield from (Path("/dev", name) for name in DEVICES)
    yield from (Path.home() / name for name in HOME_CACHES)
    yield from (Path(os.environ[name]) for name in CACHES if os.environ.get(name))
    yield from (Path(tempfile.gettempdir()) / f"torchinductor_{os.environ.get('USER', 'root')}",)


def _identity(file: int | str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def open_file(path: Any, mode: Any, flags: Any) -> str | None:
    """Return the problem with opening a file, if it is opened to be written.

    Standard output and standard error may be opened by their names. So may the folder of temporary files itself: this
    is how `tempfile` asks for a file without a name.
    """
    is_write = bool(flags & WRITES) if isinstance(flags, int) else any(letter in str(mode) for letter in "wax+")
    if not is_write or not isinstance(path, str | bytes | os.PathLike):
        return None
    name = os.fsdecode(path)
    if mode is None and not Path(name).is_absolute():  # the event lacks the `dir_fd` of `os.open`
        return f"write {name}, which may be in any open folder: pass an absolute path"
    if os.path.realpath(name) == _permissions.temporary or _identity(name) in _permissions.output:
        return None
    return write(path)


def write(path: Any, folder: int = -1) -> str | None:
    """Return the problem with changing a file or folder.

    Args:
        path: Its path; a number stands for a file that is open already.
        folder: The descriptor of the open folder that the path is relative to, or -1.
    """
    if not isinstance(path, str | bytes | os.PathLike):
        return None
    full = os.path.realpath(Path(_open_folder(folder) if folder >= 0 else "", os.fsdecode(path)))
    is_allowed = any(full == each or full.startswith(f"{each}{os.sep}") for each in _permissions.folders)
    is_allowed = is_allowed or _is_bytecode(full) or full.startswith(_beginnings())
    return None if is_allowed else f"write {full}"


def _beginnings() -> tuple[str, ...]:
    """Return the beginnings of the paths of temporary files and of devices that have several names."""
    return (NVIDIA, *(f"{_permissions.temporary}{os.sep}{beginning}" for beginning in TEMPORARY))


def _open_folder(descriptor: int) -> str:
    """Return the path of a folder that is open: from Linux's `/proc`, or by a call of macOS."""
    if Path("/proc/self/fd").is_dir():
        return f"/proc/self/fd/{descriptor}"
    return os.fsdecode(_fcntl.fcntl(descriptor, _fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))


def make_folder(path: Any, mode: int, folder: int = -1) -> str | None:
    """Return the problem with making a folder; one that exists, or that leads to a permitted one, is none."""
    if folder < 0:
        below = f"{os.path.realpath(path)}{os.sep}"
        if os.path.isdir(path) or any(each.startswith(below) for each in _permissions.folders):  # noqa: PTH112
            return None
    return write(path, folder)


def change(path: Any, *arguments: Any) -> str | None:
    """Return the problem with removing a file, or with changing its rights, owner or time."""
    folder = arguments[-1] if arguments else -1  # the last argument of these events, but for extended attributes
    return write(path, folder if isinstance(folder, int) else -1)


def change_path(path: Any, *_: Any) -> str | None:
    """Return the problem with an event that has no open folder."""
    return write(path)


def move(source: Any, target: Any, source_folder: int = -1, target_folder: int = -1) -> str | None:
    """Return the problem with giving a file another name, or a second one."""
    return write(source, source_folder) or write(target, target_folder)


def link(_: Any, target: Any, folder: int = -1) -> str | None:
    """Return the problem with a symbolic link."""
    return write(target, folder)


def database(path: Any) -> str | None:
    """Return the problem with opening a database by its path or address."""
    name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
    return None if name in ("", ":memory:") else write(name.removeprefix("file:").partition("?")[0])


def _is_bytecode(path: str) -> bool:
    """Return whether Python stores the bytecode of a module that is imported."""
    parts = Path(path).parts[-2:]
    is_cache = parts[-1] == "__pycache__" or (parts[0] == "__pycache__" and ".pyc" in parts[-1])
    elsewhere = _permissions.bytecode
    return (is_cache or bool(elsewhere and f"{path}{os.sep}".startswith(elsewhere))) and is_running(IMPORTS)


def make_temporary(path: str) -> str | None:
    """Let a file or folder be written that `tempfile` has just named, in the folder of temporary files."""
    full = os.path.realpath(path)
    if os.path.dirname(full) != _permissions.temporary:  # noqa: PTH120
        return write(path)
    _permissions.folders.append(full)
    return None
