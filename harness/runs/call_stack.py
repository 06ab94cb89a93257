"""Find out whose code is running, by the functions on the stack."""

import sys
from collections.abc import Iterator
from types import FrameType


def frames() -> Iterator[FrameType]:
    """Yield the frames of the functions that are running, innermost first, without those of this module."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename != __file__:
            yield frame
        frame = frame.f_back


def is_running(modules: tuple[str, ...]) -> bool:
    """Return whether a function of one of these modules or packages is on the stack."""
    names = (str(frame.f_globals.get("__name__", "")) for frame in frames())
    return any(f"{name}.".startswith(tuple(f"{module}." for module in modules)) for name in names)
