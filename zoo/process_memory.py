"""The memory of this process, on systems with and without the module `resource`."""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import psutil

_resource: Any = import_module("resource") if find_spec("resource") else None  # Windows has no such module


def peak_memory() -> int:
    """Return the peak resident memory of this process so far, in bytes."""
    if _resource is None:
        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0))
    peak = int(_resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
