"""Tune the memory allocator of the C library, so that large CPU tensors are cheaper to allocate.

Why: by default glibc returns most freed memory to the operating system after each operation. The next operation must
get it back, and the system must find and clear every page again.

When: on a CPU with glibc, unless the environment variables already tune the allocator.

Effect: time and memory use only; no computed value depends on it.
"""

import ctypes
import os

MIB = 2**20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
LARGEST_REUSED, MOST_KEPT = 32 * MIB, 512 * MIB
"""Blocks above the first size come from the system and go back to it at once. glibc keeps freed memory at the end of
the heap up to the second size, for the next tensors."""


def keep_freed_memory() -> None:
    """Let glibc reuse the memory of freed tensors of up to 32 MiB; do nothing with any other C library.

    Variables such as `MALLOC_TRIM_THRESHOLD_` and `GLIBC_TUNABLES` take precedence: if one is set, nothing is changed.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_REUSED)
        mallopt(M_TRIM_THRESHOLD, MOST_KEPT)
