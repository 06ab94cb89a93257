"""Read and write state dicts as files. Reading never runs code: a pickle may only hold tensors and plain values."""

import re
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from zoo.errors import UsageError
from zoo.fetch.fetched import Fetched
from zoo.fetch.quantized_weights import is_quantized, load_quantized, without_warnings
from zoo.fetch.weights_index import tensor_files
from zoo.files import write_atomically

STATE_DICT_KEYS = ("model", "state_dict")
"""The keys under which training scripts store the state dict in a checkpoint."""
DATA_PARALLEL_PREFIX = "module."
AVERAGED = "n_averaged"
"""The counter of torch's `AveragedModel`, which puts the averaged model under `module.`, as DataParallel does."""
COMPILED = "_orig_mod"
"""The part that `torch.compile` adds to the names of a compiled model, or of its compiled parts."""
COUNTER = ".num_batches_tracked"
"""BatchNorm's counter. It is unused if BatchNorm has a momentum, and files from before 2018 lack it."""
POSITIONS = re.compile(r"(?:.*\.)?embeddings\.position_ids")
"""Buffers that BERT, RoBERTa, DistilBERT, CLIP and others saved until version 4.31 of transformers."""
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.\w+)$")
MAX_SHOWN = 3


def save(model: nn.Module, path: Path) -> None:
    """Write the model's state dict as safetensors. Raises OSError."""
    # `save_file` would make the file unreadable for other users; clones, since safetensors refuses shared tensors
    state = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    write_atomically(path, to_bytes(state))


def read(path: Path, expected: Collection[str] = (), key: str | None = None) -> dict[str, Tensor]:
    """Read a state dict from safetensors or from a `torch.save` file.

    The file may be a whole checkpoint with the state dict under `model` or `state_dict`. What DataParallel,
    `AveragedModel` and `torch.compile` add to the names is removed, unless the names fit the model with it.

    Args:
        path: The file.
        expected: The names of the model's tensors.
        key: The key of the state dict in a checkpoint. Default: `model` or `state_dict`.

    Raises:
        UsageError: The file is damaged, has no state dict, or is a pickle of more than tensors and plain values, or two
            of its tensors would get the same name.
    """
    return _rename(path, _state_dict(path, key), expected)


def read_fetched(fetched: Fetched, expected: Collection[str] = ()) -> dict[str, Tensor]:
    """Read the weights in a file, or in the one or several files of a repository or folder, as `read` does.

    Raises:
        UsageError: See `read`.
        IntegrityError: The index of several files does not describe them.
    """
    if fetched.weights is None:
        return read(fetched.path, expected, fetched.state_dict)
    state: dict[str, Tensor] = {}
    for name in tensor_files(fetched.path, fetched.weights):
        state |= _state_dict(fetched.path / name, fetched.state_dict)  # no tensor is in two of them
    return _rename(fetched.weights_path, state, expected)


def state_dict_keys(path: Path) -> tuple[str, ...]:
    """Return the keys under which a checkpoint holds state dicts, the one that is read by default first.

    Raises:
        UsageError: The file cannot be read.
    """
    content = None if _is_safetensors(path) else _load(path, "meta")  # reads no values
    nested = content.items() if isinstance(content, Mapping) else ()
    keys = [str(key) for key, value in nested if isinstance(value, Mapping) and _has_tensors(value)]
    return tuple(sorted(keys, key=lambda key: [*STATE_DICT_KEYS, key].index(key)))


def _has_tensors(state: Mapping[str, object]) -> bool:
    return bool(state) and all(map(_is_named_tensor, state.items()))


def _state_dict(path: Path, key: str | None = None) -> Mapping[str, Tensor]:
    content = _load(path)
    state = content
    if isinstance(content, Mapping):
        nested = (content.get(name) for name in ((key,) if key else STATE_DICT_KEYS))
        state = next((value for value in nested if isinstance(value, Mapping)), content)
    if not isinstance(state, Mapping) or not all(map(_is_named_tensor, state.items())):
        keys = " or ".join(map(repr, STATE_DICT_KEYS))
        raise UsageError(f"{path}: not a state dict of tensors, nor a checkpoint that has one under {keys}")
    for name, value in state.items():
        if value.is_meta or value.is_quantized or value.layout != torch.strided:
            kind = "without values" if value.is_meta else "quantized" if value.is_quantized else "sparse"
            raise UsageError(f"{path}: the tensor {name!r} is {kind}; save the dense weights")
    return state


def _with_present_names(names: Mapping[str, str], expected: Collection[str]) -> dict[str, str]:
    """Replace the names in torchvision's files of DenseNets, `norm.1` and `conv.2`, by those of its models."""
    present = {name: OLD_DENSENET.sub(r"\1\2", name) for name in names.values()}
    return {old: present[name] if name not in expected and present[name] in expected else name
            for old, name in names.items()}  # fmt: skip


def _rename(path: Path, state: Mapping[str, Tensor], expected: Collection[str]) -> dict[str, Tensor]:
    """Take off what was added to the names, as far as the most names then are expected ones; otherwise all of it."""
    layouts = [{name: name for name in state}]
    layouts.append({name: ".".join(part for part in name.split(".") if part != COMPILED) for name in state})
    while layouts[-1].keys() - {AVERAGED} and all(
        name.startswith(DATA_PARALLEL_PREFIX) for name in layouts[-1].values() if name != AVERAGED
    ):
        last = layouts[-1].items()
        layouts.append({name: new.removeprefix(DATA_PARALLEL_PREFIX) for name, new in last if new != AVERAGED})
    names = max(reversed(layouts), key=lambda layout: len({*layout.values()} & {*expected}))
    names = _with_present_names(names, expected)
    renamed: dict[str, str] = {}
    for name, new in names.items():
        if renamed.setdefault(new, name) != name:
            problem = f"the tensors {renamed[new]!r} and {name!r} would both be {new!r}; keep one of them"
            raise UsageError(f"{path}: {problem}")
    return {new: state[name] for name, new in names.items()}


def _is_named_tensor(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _load(path: Path, device: str = "cpu") -> object:
    try:
        if _is_safetensors(path):
            return load_file(path)
        # Namespace: many checkpoints hold a script's arguments. An open file: torch would go by the path's suffix
        with torch.serialization.safe_globals([Namespace]), path.open("rb") as file:
            return torch.load(file, map_location=device, weights_only=True)
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: these weights cannot be read: {str(error) or type(error).__name__}") from None
    except Exception as error:  # torch raises the errors of pickle for anything but tensors
        advice = "only tensors are read, since a pickle can run code; save the weights as safetensors"
        raise UsageError(f"{path}: not a file of tensors only ({type(error).__name__}); {advice}") from None


def _is_safetensors(path: Path) -> bool:
    """Return whether the file, whatever its name, begins with the length of a JSON header and that header."""
    with path.open("rb") as file:
        start = file.read(9)
    is_whole = int.from_bytes(start[:8], "little") < path.stat().st_size
    return start[8:] == b"{" and (is_whole or path.suffix.lower() == ".safetensors")


def load_into(model: nn.Module, path: Path) -> None:
    """Load a file into a model; names and shapes of all tensors must match. Raises UsageError."""
    if is_quantized(model):
        with without_warnings():
            content = _load(path)
        load_quantized(model, content, path)
    else:
        load_state(model, read(path, model.state_dict()), path)


def load_state(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> list[str]:
    """Load a state dict into a model; names and shapes of all tensors must match.

    Args:
        model: The model to change.
        state: The state dict. BatchNorm's counters may be missing, and positions that are only counted (`POSITIONS`)
            may be there.
        path: The file that the state dict was read from, for the message of an error.

    Returns:
        The names of such positions, which are left out.

    Raises:
        UsageError: A tensor is missing, unexpected or of another shape.
    """
    expected = model.state_dict()
    unused = [name for name, value in state.items() if name not in expected and _only_counts(name, value)]
    if faults := list(misfits(expected, state).values()):
        more = f" (and {len(faults) - MAX_SHOWN} more)" if len(faults) > MAX_SHOWN else ""
        hint = _prefix_hint(state, expected)
        raise UsageError(f"{path}: the weights do not fit the model: {'; '.join(faults[:MAX_SHOWN])}{more}{hint}")
    counters = {name: value for name, value in expected.items() if name.endswith(COUNTER)}
    loaded = OrderedDict({**counters, **{name: value for name, value in state.items() if name not in unused}})
    # the versions of the layers; names and shapes are those of today's layers, and MNASNet refuses to load without
    loaded._metadata = getattr(expected, "_metadata", {})  # type: ignore[attr-defined]
    model.load_state_dict(loaded)
    return unused


def unused_note(unused: Sequence[str]) -> str:
    """Return the note for the user about names that `load_state` left out."""
    return f"{', '.join(unused[:MAX_SHOWN])} of an older version of transformers only counts positions, and is not read"


def _only_counts(name: str, value: Tensor) -> bool:
    """Return whether a tensor is a buffer with the numbers of the positions, which holds no information."""
    is_buffer = POSITIONS.fullmatch(name) is not None and not value.is_floating_point() and not value.is_complex()
    return is_buffer and torch.equal(value.flatten().long(), torch.arange(value.numel()))


def _counts_batches_of_frozen(name: str, expected: Mapping[str, Tensor]) -> bool:
    """Return whether a tensor is the counter of a BatchNorm layer that is frozen in the model, which drops it."""
    return name.endswith(COUNTER) and f"{name.removesuffix(COUNTER)}.running_mean" in expected


def misfits(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, str]:
    """Return, for each tensor that is missing, unexpected, complex or of another shape, its name and what is wrong.

    Args:
        expected: The state dict of the model.
        state: The state dict of the file; what `load_state` admits is no misfit.
    """
    faults = {name: f"missing {name}" for name in expected if name not in state and not name.endswith(COUNTER)}
    others = {name: value for name, value in state.items() if name not in expected and not _only_counts(name, value)}
    others = {name: value for name, value in others.items() if not _counts_batches_of_frozen(name, expected)}
    faults |= {name: f"unexpected {name}" for name in others}
    shapes = {name: (tuple(state[name].shape), tuple(expected[name].shape)) for name in expected if name in state}
    faults |= {
        name: f"{name} is complex, the model's is not"
        for name in shapes
        if state[name].is_complex() and not expected[name].is_complex()
    }
    return faults | {
        name: f"{name} is {found}, the model's is {wanted}"
        for name, (found, wanted) in shapes.items()
        if found != wanted
    }


def _prefix_hint(state: Collection[str], expected: Collection[str]) -> str:
    """Return advice if the names fit the model without a first part that all of them share."""
    firsts = {name.split(".")[0] for name in state}
    prefix = f"{firsts.pop()}." if len(firsts) == 1 else ""
    fits = bool(prefix) and all(name.removeprefix(prefix) in expected for name in state)
    return f"; without {prefix!r} at their start the names would fit: save the state dict of that part" if fits else ""
