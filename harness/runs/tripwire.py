"""Stop a recipe that is not shipped if its run does what no run needs: a tripwire, not a sandbox.

While the run is made, an audit hook refuses network connections, new processes, imports of modules that are not
installed, and writes outside of the folder of runs, of temporary files and of caches. Code that wants to can get around
an audit hook; the lists of `zoo.recipes.allowed` keep such code out.

The hook allows: our own code, the fetcher, compilers (`torch.compile`, triton) and local process groups.
`write_checks` and `network_checks` decide about files and sockets, this module about code and processes.
"""

import os
import site
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from harness.runs import network_checks, write_checks
from harness.runs.call_stack import frames, is_running
from zoo.errors import UsageError

PROJECT = Path(__file__).resolve().parents[2]
OURS = tuple(f"{PROJECT / name}{os.sep}" for name in ("zoo", "harness", "leaderboard"))
FETCHER = f"{PROJECT / 'zoo' / 'fetch'}{os.sep}"
RUNS_FOREIGN_CODE = ("tensor_cache.py", "weights_file.py")
"""Modules beside the fetcher that call a model or unpickle, and that need no network."""
COMPILERS = ("torch._inductor", "torch._dynamo.convert_frame", "torch.utils.cpp_extension", "triton")
"""Modules of compilers. The rest of `torch._dynamo` calls functions that it does not compile."""
STARTS_PROCESSES = (
    "accelerate", "cpuinfo", "ctypes", "joblib", "matplotlib.font_manager", "multiprocessing", "platform", "torch._C",
    "torch.distributed", "torch.utils.data", "uuid",
)  # fmt: skip
"""Modules that ask the system about its processors, libraries, fonts or addresses, or that start workers."""
TRACKERS = ("harness.tracking", "mlflow", "tensorboard", "trackio", "wandb")
"""Experiment trackers that the user asked for. They write and connect where the user has set them up to; no recipe can
name them."""
STANDARD_LIBRARY = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib"))
_LIBRARIES = {*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
INSTALLED = tuple(f"{folder}{os.sep}" for folder in _LIBRARIES)


class ForbiddenActionError(UsageError):
    """A run of an unshipped recipe tried a forbidden action."""


@dataclass
class _Watch:
    """How many runs are watched: 0 lets everything through."""

    runs: int = 0


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
    with _changing:
        write_checks.permit(folders, is_first=not _watch.runs)
        _watch.runs += 1
    try:
        yield
    finally:
        with _changing:  # another thread may prepare the next entry
            _watch.runs -= 1
            if not _watch.runs:
                write_checks.forget()


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


def _start(program: Any = None, *_: Any) -> str | None:
    return f"start the program {os.fsdecode(program)!r}" if isinstance(program, str | bytes) else "start a program"


def _origin() -> FrameType | None:
    """Return the frame that asked: the innermost one outside of Python's standard library and of this module."""
    for frame in frames():
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
    if any(_is_fetcher(frame.f_code.co_filename) for frame in frames()) or is_running((*COMPILERS, *TRACKERS)):
        return True
    return event in _STARTS and is_running(STARTS_PROCESSES)


def _is_fetcher(file: str) -> bool:
    return file.startswith(FETCHER) and not file.endswith(RUNS_FOREIGN_CODE)


_STARTS = (
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn",
)  # fmt: skip
_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
_CHECKS: dict[str, Callable[..., str | None]] = {
    "import": _import, "exec": _exec, "open": write_checks.open_file, "sqlite3.connect": write_checks.database,
    "os.mkdir": write_checks.make_folder, "os.symlink": write_checks.link,
    **dict.fromkeys(("os.rename", "os.link"), write_checks.move),
    **dict.fromkeys(("os.remove", "os.rmdir", "os.chmod", "os.chown", "os.utime"), write_checks.change),
    **dict.fromkeys(("os.truncate", "os.setxattr", "os.removexattr", "shutil.rmtree"), write_checks.change_path),
    **dict.fromkeys(("tempfile.mkstemp", "tempfile.mkdtemp"), write_checks.make_temporary),
    **dict.fromkeys(("socket.connect", "socket.sendto", "socket.sendmsg"), network_checks.connect),
    **dict.fromkeys(_LOOK_UPS, network_checks.look_up), "socket.bind": network_checks.bind,
    "socket.sethostname": network_checks.rename, **dict.fromkeys(_STARTS, _start),
}  # fmt: skip
