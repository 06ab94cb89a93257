"""How the allocator of the C library keeps memory, which decides what a large tensor on a CPU costs to make."""

import ctypes
import os

MIB = 2**20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
MMAP, KEPT = 32 * MIB, 512 * MIB
"""Larger blocks come from the system and go back at once; of smaller ones so much is kept at the end of memory."""


def keep_freed_memory() -> None:
    """Let glibc keep what tensors of up to 32 MiB have freed for the next ones; of another C library nothing is asked.

    Otherwise it gives most of that back after each operation, and for the next one the system must find and clear every
    page again. Where the environment says how memory is kept, that holds.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP)
        mallopt(M_TRIM_THRESHOLD, KEPT)
