"""Fixes that let torchdistill 1.1.5 run with current libraries. None of them changes its speed."""

from accelerate.state import AcceleratorState

PATCHES = ("`AcceleratorState.use_fp16` is restored: its `DistillationBox` reads it, and accelerate has removed it.",)
"""A sentence for each fix, for the footnote of the tables."""


def apply() -> None:
    """Apply the fixes in this process."""
    AcceleratorState.use_fp16 = property(lambda state: state.mixed_precision == "fp16")
