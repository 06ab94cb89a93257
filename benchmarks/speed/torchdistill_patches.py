"""What keeps torchdistill 1.1.5 from running with current libraries, mended; nothing here makes it faster or slower."""

from accelerate.state import AcceleratorState

PATCHES = ("`AcceleratorState.use_fp16`, which accelerate has removed and its `DistillationBox` reads, is put back.",)
"""What is mended, in a sentence each: the footnote of the tables."""


def apply() -> None:
    """Mend it in this process."""
    AcceleratorState.use_fp16 = property(lambda state: state.mixed_precision == "fp16")
