"""Stop a recipe that is not shipped if its run does what no run needs: a tripwire, not a sandbox.

While the run is made, an audit hook refuses network connections, new processes, imports of modules that are not
installed, and writes outside of the folder of runs, of temporary files and of caches. Code that wants to can get around
an audit hook; the lists of `zoo.recipes.allowed` keep such code out.

The hook allows: our own code, the fetcher, compilers (`torch.compile`, triton) and local process groups.
"""

import fcntl
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
COMPILERS = ("torch._inductor", "torch._dynamo.convert_frame", "torch.utils.cpp_extension", "triton")
"""Modules of compilers. The rest of `torch._dynamo` calls functions that it does not compile."""
STARTS_PROCESSES = ("accelerate", "cpuinfo", "joblib", "torch._C", "torch.distributed", "torch.utils.data", "ctypes")
"""Modules that ask the system about its processors or libraries, or that start workers."""
CONNECTS_LOCALLY = ("torch.distributed", "torch.multiprocessing", "multiprocessing", "accelerate")
CACHES = (
    "CUDA_CACHE_PATH", "HF_DATASETS_CACHE", "HF_HOME", "HF_HUB_CACHE", "HF_XET_CACHE", "MPLCONFIGDIR",
    "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TORCH_HOME", "TRITON_CACHE_DIR", "XDG_CACHE_HOME",
)  # fmt: skip
"""Environment variables that name the folder of a cache."""
DEVICES = ("/dev/null", "/dev/shm", "/dev/tty")  # noqa: S108
TEMPORARY = ("pymp-", "torch", "joblib", "triton")
"""Beginnings of names in the folder of temporary files that libraries choose without asking `tempfile`."""
STANDARD_LIBRARY = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib"))
_LIBRARIES = {*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
INSTALLED = tuple(f"{folder}{os.sep}" for folder in _LIBRARIES)
IMPORTS = ("importlib._bootstrap_external", "_frozen_importlib_external")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class ForbiddenActionError(UsageError):
    """A run of an unshipped recipe tried a forbidden action."""


@dataclass
class _Watch:
    """The permissions of the running runs."""

    folders: list[str] = field(default_factory=list)
    """The folders that may be written."""
    temporary: str = ""
    """The folder of temporary files when the first of these runs began: a run can change `tempfile.tempdir`."""
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
        if not _watch.runs:
            _watch.temporary = os.path.realpath(tempfile.gettempdir())
        _watch.folders = [*_watch.folders, *added]
        _watch.runs += 1
    try:
        yield
    finally:
        with _changing:  # another thread may prepare the next entry
            _watch.runs -= 1
            _watch.folders = _watch.folders if _watch.runs else []


def _cache_folders() -> Iterator[Path]:
    yield from (paths.home(), Path(constants.HF_HOME), Path(constants.HF_HUB_CACHE), *map(Path, DEVICES))
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
    if (
        is_write
        and mode is None
        and isinstance(path, str | bytes | os.PathLike)
        and not Path(_text(path)).is_absolute()
    ):
        # the event lacks the `dir_fd` of `os.open`
        return f"write {_text(path)}, which may be in any open folder: pass an absolute path"
    return _write(path) if is_write else None


def _write(path: Any, folder: int = -1) -> str | None:
    """Return the problem with changing a file or folder.

    Args:
        path: Its path; a number stands for a file that is open already.
        folder: The descriptor of the open folder that the path is relative to, or -1.
    """
    if not isinstance(path, str | bytes | os.PathLike):
        return None
    full = os.path.realpath(Path(_open_folder(folder) if folder >= 0 else "", _text(path)))
    is_allowed = any(full == each or full.startswith(f"{each}{os.sep}") for each in _watch.folders)
    return None if is_allowed or _is_bytecode(full) or _is_temporary(full) else f"write {full}"


def _open_folder(descriptor: int) -> str:
    """Return the path of a folder that is open: from Linux's `/proc`, or by a call of macOS."""
    if Path("/proc/self/fd").is_dir():
        return f"/proc/self/fd/{descriptor}"
    return os.fsdecode(fcntl.fcntl(descriptor, vars(fcntl)["F_GETPATH"], bytes(1024)).rstrip(b"\0"))


def _text(path: Any) -> str:
    return os.fsdecode(path)


def _make_folder(path: Any, mode: int, folder: int = -1) -> str | None:
    return None if folder < 0 and os.path.isdir(path) else _write(path, folder)  # noqa: PTH112


def _change(path: Any, *arguments: Any) -> str | None:
    folder = arguments[-1] if arguments else -1  # the last argument of these events, but for extended attributes
    return _write(path, folder if isinstance(folder, int) else -1)


def _change_path(path: Any, *_: Any) -> str | None:
    return _write(path)


def _move(source: Any, target: Any, source_folder: int = -1, target_folder: int = -1) -> str | None:
    return _write(source, source_folder) or _write(target, target_folder)


def _link(_: Any, target: Any, folder: int = -1) -> str | None:
    return _write(target, folder)


def _database(path: Any) -> str | None:
    name = _text(path) if isinstance(path, str | bytes | os.PathLike) else ""
    return None if name in ("", ":memory:") else _write(name.removeprefix("file:").partition("?")[0])


def _is_bytecode(path: str) -> bool:
    """Return whether Python stores the bytecode of a module that is imported."""
    parts = Path(path).parts[-2:]
    is_cache = parts[-1] == "__pycache__" or (parts[0] == "__pycache__" and ".pyc" in parts[-1])
    return is_cache and _has_frame(IMPORTS)


def _is_temporary(path: str) -> bool:
    return path.startswith(tuple(f"{_watch.temporary}{os.sep}{beginning}" for beginning in TEMPORARY))


def _temporary(path: str) -> str | None:
    """Let a file or folder be written that `tempfile` has just named, in the folder of temporary files."""
    full = os.path.realpath(path)
    if os.path.dirname(full) != _watch.temporary:  # noqa: PTH120
        return _write(path)
    _watch.folders.append(full)
    return None


def _start(program: Any = None, *_: Any) -> str | None:
    return f"start the program {os.fsdecode(program)!r}" if isinstance(program, str | bytes) else "start a program"


def _connect(_: Any, address: Any) -> str | None:
    if isinstance(address, str | bytes) and address:
        return None if _is_own_socket(_text(address)) else f"connect to the socket {_text(address)!r}"
    if not isinstance(address, tuple) or _is_local(str(address[0])):
        return None
    return f"connect to {address[0]}:{address[1]}"


def _bind(_: Any, address: Any) -> str | None:
    if isinstance(address, str | bytes) and address:
        return None if _is_own_socket(_text(address)) else f"listen at the socket {_text(address)!r}"
    if not isinstance(address, tuple) or _is_loopback(str(address[0])) or _has_frame(CONNECTS_LOCALLY):
        return None
    return f"listen at {address[0]}:{address[1]}"


def _is_own_socket(path: str) -> bool:
    """Return whether worker processes talk through a Unix socket: one of theirs is temporary, or has no file."""
    return _has_frame(CONNECTS_LOCALLY) and (path.startswith("\0") or _write(path) is None)


def _look_up(host: Any, *_: Any) -> str | None:
    name = os.fsdecode(host) if isinstance(host, str | bytes) else ""
    return None if not name or _is_local(name) else f"look up the address of {name}"


def _is_local(host: str) -> bool:
    """Return whether a process group is on this machine, or on the one that torchrun names."""
    return (_is_loopback(host) and _has_frame(CONNECTS_LOCALLY)) or ("RANK" in os.environ and host == _master())


def _is_loopback(host: str) -> bool:
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


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


_STARTS = (
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn",
)  # fmt: skip
_CHECKS: dict[str, Callable[..., str | None]] = {
    "import": _import, "exec": _exec, "open": _open, "sqlite3.connect": _database,
    "os.mkdir": _make_folder, "os.rename": _move, "os.link": _move, "os.symlink": _link,
    **dict.fromkeys(("os.remove", "os.rmdir", "os.chmod", "os.chown", "os.utime"), _change),
    **dict.fromkeys(("os.truncate", "os.setxattr", "os.removexattr", "shutil.rmtree"), _change_path),
    **dict.fromkeys(("socket.connect", "socket.sendto", "socket.sendmsg"), _connect), "socket.bind": _bind,
    **dict.fromkeys(("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"), _look_up),
    "tempfile.mkstemp": _temporary, "tempfile.mkdtemp": _temporary, **dict.fromkeys(_STARTS, _start),
}  # fmt: skip
