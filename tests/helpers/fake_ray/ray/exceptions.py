"""The errors of a small Ray."""


class RayError(Exception):
    """Any error."""


class RayTaskError(RayError):
    """A task raised an error."""


class TaskCancelledError(RayError):
    """A task was cancelled."""


class WorkerCrashedError(RayError):
    """A worker died."""
