"""Stop a recipe that is not shipped if its run does what no run needs: a tripwire, not a sandbox.

While the run is made, an audit hook refuses network connections, new processes, imports of modules that are not
installed, and writes outside of the folder of runs, of temporary files and of caches. Code that wants to can get around
an audit hook; the lists of `zoo.recipes.allowed` keep such code out.

These are let through: our own code, the fetcher, compilers (`torch.compile`, triton) and local process groups.
"""

import ipaddress
import os
import site
import socket
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from huggingface_hub import constants

from zoo import paths
from zoo.errors import UsageError

PROJECT = paths.PACKAGE.parent
OURS = tuple(f"{PROJECT / name}{os.sep}" for name in ("zoo", "harness", "leaderboard"))
FETCHER = f"{paths.PACKAGE / 'fetch'}{os.sep}"
RUNS_FOREIGN_CODE = ("tensor_cache.py", "weights_file.py")
"""Modules beside the fetcher that call a model or unpickle, and that need no network."""
COMPILERS = ("torch._inductor", "torch._dynamo", "torch.utils.cpp_extension", "triton")
STARTS_PROCESSES = ("accelerate", "cpuinfo", "joblib", "torch._C", "torch.distributed", "torch.utils.data", "ctypes")
"""Modules that ask the system about its processors or libraries, or that start workers."""
CONNECTS_LOCALLY = ("torch.distributed", "multiprocessing", "accelerate")
CACHES = (
    "CUDA_CACHE_PATH", "HF_DATASETS_CACHE", "HF_HOME", "HF_HUB_CACHE", "HF_XET_CACHE", "MPLCONFIGDIR",
    "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TORCH_HOME", "TRITON_CACHE_DIR", "XDG_CACHE_HOME",
)  # fmt: skip
"""Environment variables that name the folder of a cache."""
TEMPORARY = ("pymp-", "torch", "joblib", "triton")
"""Beginnings of names in the folder of temporary files that libraries choose without asking `tempfile`."""
STANDARD_LIBRARY = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib"))
INSTALLED = tuple({*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class ForbiddenActionError(UsageError):
    """A recipe that is not shipped has tried what no run needs."""


@dataclass
class _Watch:
    """The permissions of the running runs."""

    folders: list[str] = field(default_factory=list)
    """The folders that may be written."""
    runs: int = 0
    """How many runs are watched: 0 lets everything through."""


_watch, _is_checking, _installed, _changing = _Watch(), threading.local(), threading.Lock(), threading.Lock()


@contextmanager
def tripwire(folders: Sequence[Path]) -> Iterator[None]:
    """Refuse what no run needs while the block runs.

    Args:
        folders: The folders of the run, which may be written.

    Raises:
        ForbiddenActionError: Something else was tried; it has not been done.
    """
    if _installed.acquire(blocking=False):  # a hook cannot be removed, and is installed once
        sys.addaudithook(_audit)
    added = [os.path.realpath(folder) for folder in (*folders, *_cache_folders())]
    with _changing:
        _watch.folders = [*_watch.folders, *added]
        _watch.runs += 1
    try:
        yield
    finally:
        with _changing:  # another thread may prepare the next entry
            _watch.runs -= 1
            _watch.folders = _watch.folders if _watch.runs else []


def _cache_folders() -> Iterator[Path]:
    yield from (paths.home(), Path(constants.HF_HOME), Path(constants.HF_HUB_CACHE), Path("/dev"), Path("/proc"))
    yield from (Path.home() / ".cache", Path.home() / ".triton", Path.home() / ".nv")
    yield from (Path(os.environ[name]) for name in CACHES if os.environ.get(name))
    yield from (Path(tempfile.gettempdir()) / f"torchinductor_{os.environ.get('USER', 'root')}",)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watch.runs or event not in _CHECKS or getattr(_is_checking, "now", False):
        return
    _is_checking.now = True
    try:
        problem = _CHECKS[event](*arguments)
        if problem is not None and not _is_exempt(event):
            origin = _origin()
            package = origin.f_globals.get("__name__", "?").split(".")[0] if origin else "?"
            where = f"{origin.f_code.co_filename}:{origin.f_lineno}" if origin else "unknown code"
            advice = f"read the recipe; --trust {package} runs it without this check"
            raise ForbiddenActionError(f"refused to {problem}, at {where}: no run needs this; {advice}")
    finally:
        _is_checking.now = False


def _import(name: str, file: str | None, *_: Any) -> str | None:
    return None if file is None else _run_code(file)  # a compiled module; `exec` follows for any other


def _exec(code: Any, *_: Any) -> str | None:
    is_module = getattr(code, "co_name", "") == "<module>" and not code.co_filename.startswith("<")
    return _run_code(code.co_filename) if is_module else None


def _run_code(file: str) -> str | None:
    """Return the problem with running a module's code; it must be installed, or in a folder that the user added."""
    full, here = os.path.realpath(file), str(Path.cwd())
    added = (os.path.realpath(entry) for entry in sys.path if entry and os.path.realpath(entry) != here)
    is_installed = full.startswith((*OURS, *STANDARD_LIBRARY, *INSTALLED))
    if is_installed or any(full.startswith(f"{folder}{os.sep}") for folder in added):
        return None
    return f"import {full}, which is not installed"


def _open(path: Any, mode: Any, flags: Any) -> str | None:
    is_write = bool(flags & WRITES) if isinstance(flags, int) else any(letter in str(mode) for letter in "wax+")
    return _write(path) if is_write else None


def _write(path: Any, *_: Any) -> str | None:
    if not isinstance(path, str | bytes | os.PathLike):  # a file that is open already
        return None
    full = os.path.realpath(os.fsdecode(path))
    allowed = any(full == folder or full.startswith(f"{folder}{os.sep}") for folder in _watch.folders)
    if allowed or full.endswith(".pyc") or f"{os.sep}__pycache__" in full or _is_temporary(full):
        return None
    return f"write {full}"


def _make_folder(path: Any, *_: Any) -> str | None:
    return None if isinstance(path, int) or os.path.isdir(path) else _write(path)  # noqa: PTH112


def _remove(path: Any, folder: int = -1, *_: Any) -> str | None:
    return None if folder != -1 else _write(path)  # relative to an open folder, whose own removal is checked


def _rename(source: Any, target: Any, *_: Any) -> str | None:
    return _write(source) or _write(target)


def _link(source: Any, target: Any, *_: Any) -> str | None:
    return _write(target)


def _is_temporary(path: str) -> bool:
    folder = os.path.realpath(tempfile.gettempdir())
    return path.startswith(folder) and path[len(folder) + 1 :].startswith(TEMPORARY)


def _temporary(path: str) -> None:
    """Let a file or folder be written that `tempfile` has just named."""
    _watch.folders.append(os.path.realpath(path))


def _start(program: Any, *_: Any) -> str | None:
    return f"start the program {os.fsdecode(program)!r}" if isinstance(program, str | bytes) else "start a program"


def _connect(_: Any, address: Any) -> str | None:
    if not isinstance(address, tuple) or _is_local(str(address[0])):
        return None  # a socket of this machine's processes
    return f"connect to {address[0]}:{address[1]}"


def _look_up(host: Any, *_: Any) -> str | None:
    name = os.fsdecode(host) if isinstance(host, str | bytes) else ""
    return None if not name or _is_local(name) else f"look up the address of {name}"


def _is_local(host: str) -> bool:
    """Return whether a process group is on this machine, or on the one that torchrun names."""
    if host in ("localhost", socket.gethostname()):
        is_loopback = True
    else:
        try:
            is_loopback = ipaddress.ip_address(host.partition("%")[0]).is_loopback
        except ValueError:
            is_loopback = False
    return (is_loopback and _has_frame(CONNECTS_LOCALLY)) or ("RANK" in os.environ and host == _master())


def _master() -> str:
    return os.environ.get("MASTER_ADDR", "")


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _has_frame(modules: tuple[str, ...]) -> bool:
    names = (str(frame.f_globals.get("__name__", "")) for frame in _frames())
    return any(f"{name}.".startswith(tuple(f"{module}." for module in modules)) for name in names)


def _origin() -> FrameType | None:
    """Return the frame that asked: the innermost one outside of Python's standard library and of this module."""
    for frame in _frames():
        file = frame.f_code.co_filename
        is_library = file.startswith(STANDARD_LIBRARY) and not file.startswith(INSTALLED)
        if not (is_library or file.startswith("<frozen") or file == __file__):
            return frame
    return None


def _is_exempt(event: str) -> bool:
    """Return whether our own code, the fetcher, a compiler or a library that starts workers asked."""
    origin = _origin()
    if origin is not None and origin.f_code.co_filename.startswith(OURS):
        return True
    if any(_is_fetcher(frame.f_code.co_filename) for frame in _frames()) or _has_frame(COMPILERS):
        return True
    return event in _STARTS and _has_frame((*STARTS_PROCESSES, "platform", "multiprocessing"))


def _is_fetcher(file: str) -> bool:
    return file.startswith(FETCHER) and not file.endswith(RUNS_FOREIGN_CODE)


_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn")
_CHECKS: dict[str, Callable[..., str | None]] = {
    "import": _import, "exec": _exec, "open": _open, "os.remove": _remove, "os.rmdir": _remove,
    "os.mkdir": _make_folder, "os.rename": _rename,
    "os.link": _link, "os.symlink": _link, "os.truncate": _write, "shutil.rmtree": _write,
    "socket.connect": _connect, "socket.getaddrinfo": _look_up, "socket.gethostbyname": _look_up,
    "tempfile.mkstemp": _temporary, "tempfile.mkdtemp": _temporary, **dict.fromkeys(_STARTS, _start),
}  # fmt: skip
