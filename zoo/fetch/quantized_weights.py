"""Load the state dict of a quantized model, which holds packed parameters besides tensors."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from zoo.errors import UsageError

QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")


@contextmanager
def without_warnings() -> Iterator[None]:
    """Hide what torch warns of when it builds quantized models as torchvision does: that it will do so otherwise."""
    with warnings.catch_warnings(action="ignore"):
        yield


def is_quantized(model: nn.Module) -> bool:
    """Return whether a model has layers that compute with whole numbers."""
    return any(type(module).__module__.startswith(QUANTIZED) for module in model.modules())


def load_quantized(model: nn.Module, content: object, path: Path) -> None:
    """Load what a file holds into a quantized model; all names must match.

    Args:
        model: The model to change.
        content: The content of the file.
        path: The file, for the message of an error.

    Raises:
        UsageError: The content is no state dict, or one of another model.
    """
    if not isinstance(content, Mapping):
        raise UsageError(f"{path}: not the state dict of a quantized model")
    try:
        with without_warnings():
            model.load_state_dict(content)
    except (RuntimeError, TypeError, ValueError, AttributeError, KeyError) as error:
        raise UsageError(f"{path}: the weights do not fit the quantized model: {error}") from None
