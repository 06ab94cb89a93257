"""Name a process so that others on this host can find out whether it has ended."""

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """A process, and the machine and the container that its number belongs to."""

    host: str
    boot: str
    """The identifier of the machine's boot; empty where the system has none."""
    namespace: str
    """The namespace of process numbers, another one in each container; empty where the system has none."""
    pid: int
    started: float
    """When the process started, by a clock that nobody sets. A later process may have the same number."""

    def is_dead(self) -> bool:
        """Return whether this is a process of this machine and container that has ended; False if nobody can tell."""
        if (self.host, self.boot, self.namespace) != _machine():
            return False
        try:
            started = _start_of(self.pid)
        except PermissionError:
            return False
        return started != self.started


def current_process() -> ProcessIdentity:
    """Return the identity of this process."""
    host, boot, namespace = _machine()
    started = _start_of(os.getpid())
    return ProcessIdentity(host=host, boot=boot, namespace=namespace, pid=os.getpid(), started=started or 0.0)


@cache
def _machine() -> tuple[str, str, str]:
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    return (
        socket.gethostname(),
        boot.read_text(encoding="ascii").strip() if boot.exists() else "",
        str(namespace.readlink()) if namespace.is_symlink() else "",
    )


def _start_of(pid: int) -> float | None:
    """Return when a process started; None if it has ended. Raise PermissionError if another user's is hidden."""
    try:
        return _start_in_proc(pid) if Path("/proc/self/stat").exists() else _start_in_psutil(pid)
    except (ProcessLookupError, FileNotFoundError, psutil.NoSuchProcess):
        _raise_if_hidden(pid)
        return None


def _start_in_proc(pid: int) -> float | None:
    """Return the clock ticks from the boot to the start. Linux's wall-clock times of starts change with the clock."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else float(fields[19])


def _start_in_psutil(pid: int) -> float | None:
    process = psutil.Process(pid)
    return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()


def _raise_if_hidden(pid: int) -> None:
    """Raise PermissionError if the process exists: some systems hide what other users run."""
    if os.name == "nt":  # there, every process is visible, and the signal 0 is Ctrl-C
        return
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return
    raise PermissionError
