"""Draw the training curves of a run beside its log. A picture that fails is reported, and never ends a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from harness.records.heartbeat_lock import LockLostError
from harness.records.training_log import LOG, PICTURE
from zoo.errors import TimeIsUp, first_line
from zoo.progress import Report


def draw_curves(folder: Path, name: str, report: Report) -> None:
    """Draw the curves of the training log in a folder into `curves.svg` there; report a warning if that fails.

    Args:
        folder: The folder of a run.
        name: The name of the entry, for the warning.
        report: Shows the warning.
    """
    try:  # matplotlib is imported here, because most commands draw nothing
        curves = import_module("harness.pictures.curves").read_curves(folder / LOG)
        import_module("harness.pictures.curve_panels").curves_picture(curves).write(folder / PICTURE)
    except Exception as error:  # whatever goes wrong: the run matters more than its picture
        report(f"{name}: warning: the training curves were not drawn: {first_line(error) or type(error).__name__}")


@contextmanager
def drawn_when_stopped(
    folder: Path, name: str, report: Report, *, check_lock: Callable[[], None], draws: bool = True
) -> Iterator[None]:
    """Draw the curves so far if a signal stops the training in the block. A time limit leaves no time for that.

    Args:
        folder: The folder of the log and the checkpoints.
        name: The name of the entry.
        report: Shows a warning.
        check_lock: Raises an error if another command has taken over the folder; then nothing is drawn.
        draws: Whether this process draws; one of several does.
    """
    try:
        yield
    except TimeIsUp:
        raise
    except KeyboardInterrupt:
        if draws and (folder / LOG).is_file():
            with suppress(LockLostError):
                check_lock()
                draw_curves(folder, name, report)
        raise
