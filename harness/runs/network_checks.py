"""Check events of sockets for the tripwire. Each check returns the problem with one event, or None.

Names and addresses of this machine may be looked up. Worker processes and process groups may connect to it.
"""

import ipaddress
import os
import socket
from typing import Any

from harness.runs.call_stack import is_running
from harness.runs.write_checks import write

CONNECTS_LOCALLY = ("torch.distributed", "torch.multiprocessing", "multiprocessing", "accelerate")
UNNAMED = ("", "0.0.0.0", "::")  # noqa: S104
"""Hosts that stand for this machine; `socket.getfqdn` looks its own name up for them."""


def connect(_: Any, address: Any) -> str | None:
    """Return the problem with a connection, or with sending a datagram."""
    if isinstance(address, str | bytes) and address:
        return None if _is_own_socket(os.fsdecode(address)) else f"connect to the socket {os.fsdecode(address)!r}"
    if not isinstance(address, tuple) or _may_connect(str(address[0])):
        return None
    return f"connect to {address[0]}:{address[1]}"


def bind(_: Any, address: Any) -> str | None:
    """Return the problem with listening at an address."""
    if isinstance(address, str | bytes) and address:
        return None if _is_own_socket(os.fsdecode(address)) else f"listen at the socket {os.fsdecode(address)!r}"
    if not isinstance(address, tuple) or _is_this_machine(str(address[0])) or is_running(CONNECTS_LOCALLY):
        return None
    return f"listen at {address[0]}:{address[1]}"


def look_up(host: Any, *_: Any) -> str | None:
    """Return the problem with asking for the address of a host, or for the host of an address: `(address, port)`."""
    host = host[0] if isinstance(host, tuple) and host else host
    name = os.fsdecode(host) if isinstance(host, str | bytes) else os.fsdecode(bytes(host or b""))
    is_own = name in UNNAMED or _is_this_machine(name) or _is_master(name)
    return None if is_own else f"look up the address of {name}"


def rename(name: Any) -> str | None:
    """Return the problem with renaming this machine: its name may be looked up."""
    return "rename this machine"


def _is_own_socket(path: str) -> bool:
    """Return whether worker processes talk through a Unix socket: one of theirs is temporary, or has no file."""
    return is_running(CONNECTS_LOCALLY) and (path.startswith("\0") or write(path) is None)


def _may_connect(host: str) -> bool:
    """Return whether a process group is on this machine, or on the one that torchrun names."""
    return (_is_this_machine(host) and is_running(CONNECTS_LOCALLY)) or _is_master(host)


def _is_master(host: str) -> bool:
    return "RANK" in os.environ and host == os.environ.get("MASTER_ADDR", "")


def _is_this_machine(host: str) -> bool:
    if host in ("localhost", socket.gethostname()):
        return True
    address, _, scope = host.partition("%")
    try:
        return ipaddress.ip_address(address).is_loopback and (not scope or scope.isalnum())
    except ValueError:
        return False
