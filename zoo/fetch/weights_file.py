"""State dicts in and out of files; nothing is ever unpickled beyond tensors and what a training script keeps beside."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from zoo.errors import UsageError

CHECKPOINT = ("model", "state_dict")
"""Where a checkpoint keeps the state dict."""
WRAPPER = "module."
COUNTER = ".num_batches_tracked"
"""BatchNorm's, which nothing reads where it has a momentum; files from before 2018 lack it."""


def save(model: nn.Module, path: Path) -> None:
    """Write the model's state dict as safetensors."""
    # not `save_file`: it makes files that only their owner can read; copies, because it refuses tensors that are shared
    path.write_bytes(
        to_bytes({name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()})
    )


def read(path: Path) -> dict[str, Tensor]:
    """A state dict from safetensors, or from a `torch.save` file of tensors only. Raises UsageError for any other.

    Of a checkpoint it is what stands at `model` or `state_dict`; names are without the `module.` of DataParallel.
    """
    try:
        if _is_safetensors(path):
            return load_file(path)
        # many checkpoints keep the arguments of a script; a file has no name here, since torch goes by it
        with torch.serialization.safe_globals([Namespace]), path.open("rb") as file:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: these weights cannot be read: {error}") from None
    except Exception as error:  # torch raises pickle's own errors for what is no tensor
        raise UsageError(
            f"{path}: not a file of tensors only, and nothing else is read ({type(error).__name__})"
        ) from None
    state = next((found[key] for key in CHECKPOINT if key in found), found) if isinstance(found, Mapping) else found
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UsageError(f"{path}: not a state dict of tensors, nor a checkpoint with one at {' or '.join(CHECKPOINT)}")
    wrapped = all(name.startswith(WRAPPER) for name in state)
    return {name.removeprefix(WRAPPER) if wrapped else name: value for name, value in state.items()}


def _is_safetensors(path: Path) -> bool:
    """Whether a file, whatever it is called, begins with the length of a header and the header, in JSON."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def load_into(model: nn.Module, path: Path) -> None:
    """Load the file into the model; every tensor must be there, named and shaped as the model's. Raises UsageError."""
    load_state(model, read(path), path)


def load_state(model: nn.Module, given: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict, which was read from `path`, into a model that it fits; raises UsageError where it does not."""
    own = model.state_dict()
    given = {**{name: value for name, value in own.items() if name.endswith(COUNTER)}, **given}
    faults = [f"missing {name}" for name in own if name not in given]
    faults += [f"unexpected {name}" for name in given if name not in own]
    faults += [
        f"{name} is {tuple(given[name].shape)}, the model's is {tuple(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    if faults:
        more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
        raise UsageError(f"{path}: the weights do not fit the model: {'; '.join(faults[:3])}{more}")
    model.load_state_dict(given)
