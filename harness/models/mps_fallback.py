"""Name the operations that torch computes on the CPU because MPS, the GPU of Apple's computers, lacks them.

torch does so if PYTORCH_ENABLE_MPS_FALLBACK is 1 when it is imported, and warns.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

WARNING = r"The operator '(\S+)' is not currently supported on the MPS backend"


@contextmanager
def collect_fallbacks(device: torch.device, operations: set[str]) -> Iterator[None]:
    """Add the names of operations that fall back to the CPU to a set, inside the `with` block, instead of warning.

    Args:
        device: The device of the run. Nothing is collected on another device than `mps`.
        operations: The set.
    """
    if device.type != "mps":
        yield
        return
    always = torch.is_warn_always_enabled()
    with warnings.catch_warnings():
        show = warnings.showwarning

        def collect(message: Warning | str, *details: Any, **more: Any) -> None:
            if match := re.match(WARNING, str(message)):
                operations.add(match[1])
            else:
                show(message, *details, **more)

        warnings.filterwarnings("always", WARNING)
        warnings.showwarning = collect
        torch.set_warn_always(True)  # torch would name only the first operation of a process
        try:
            yield
        finally:
            torch.set_warn_always(always)


def fallback_findings(operations: set[str]) -> tuple[str, ...]:
    """Return the finding of a run in which operations fell back to the CPU; none if there are none."""
    listed = ", ".join(sorted(operations))
    return (f"device: computed on the CPU, because MPS does not have them: {listed}",) if operations else ()
