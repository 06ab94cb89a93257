"""Teacher outputs that are computed once for all rows of a split, and stored on disk for other runs."""

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from harness.evaluation.batch_limits import BatchLimits
from harness.evaluation.batched_inference import BATCH_SIZE, in_order, limits_for, map_batches
from harness.evaluation.batching import batches
from harness.models.environment import environment, uses_tf32
from harness.models.outputs import ModelOutputs
from harness.models.provenance import project_code_digest
from harness.training.objective import ModelReads
from harness.training.teacher import LiveTeachers, TeacherOutputs
from zoo.device_memory import free_memory
from zoo.fetch.tensor_cache import cached_tensors
from zoo.tasks.base import Batch, Split, read_batch
from zoo.trusted_code import VERSION_TELLS_OUTPUTS, comes_from

MAX_BYTES = 2**31
"""The outputs of a stage's teachers are computed once only if they need at most this many bytes."""
SHARE = 0.25
"""The share of the free memory of the device that the outputs may fill; else each batch is copied to the device."""


class CachedTeachers:
    """Look up the outputs for the rows of a batch; `outputs` holds those for all rows, by teacher, on any device."""

    def __init__(self, outputs: Mapping[str, ModelOutputs]) -> None:
        self.outputs = outputs

    def __call__(self, batch: Batch) -> dict[str, ModelOutputs]:
        """Return the teachers' outputs for a batch."""

        def pick(value: Tensor) -> Tensor:
            return value[batch.ids.to(value.device)].to(batch.ids.device)

        return {name: outputs.map(pick) for name, outputs in self.outputs.items()}


def cache_teacher_outputs(
    teachers: LiveTeachers, split: Split, accelerator: Accelerator, folder: Path | None = None
) -> TeacherOutputs:
    """Compute the teachers' outputs for the whole split now, or return the live teachers if that is not possible.

    It is not possible if rows have random transforms, if shapes change from batch to batch (features of tokens, padded
    to the longest row), or if the outputs need more than `MAX_BYTES`. The outputs are kept on the device if they fill
    at most `SHARE` of its free memory.

    Args:
        teachers: The frozen models.
        split: The rows that the student trains on.
        accelerator: Its processes share the work.
        folder: Where outputs are stored for other runs, such as those with other seeds. The key covers the teachers'
            weights and settings, what is read of them, their inputs, and all code that computes them. The outputs of
            models with user code are not stored.
    """
    if not teachers.needs or not getattr(split, "fixed", False) or not teachers.fixed:
        return teachers
    two_rows = teachers(read_batch(split, range(min(2, len(split))), accelerator.device))
    if _bytes_per_row(two_rows, teachers.needs) * len(split) > MAX_BYTES:
        return teachers
    try:
        if folder is None or accelerator.num_processes > 1 or not _all_versioned(teachers):
            tensors = _compute(teachers, split, accelerator)
        else:
            key = _cache_key(teachers, split, accelerator.device)
            tensors = cached_tensors(folder, key, lambda: _compute(teachers, split, accelerator))
    except _ShapesDifferError:
        return teachers
    tensors = _kept_on(accelerator.device, tensors)
    return CachedTeachers(
        {
            name: ModelOutputs(
                tensors.get(_tensor_name(name, "")),
                {path: tensors[_tensor_name(name, path)] for path in reads.features},
            )
            for name, reads in teachers.needs.items()
        }
    )


class _ShapesDifferError(Exception):
    """The outputs have other shapes in every batch, or are not one per row."""


def _compute(teachers: LiveTeachers, split: Split, accelerator: Accelerator) -> dict[str, Tensor]:
    """Return the outputs for all rows, in the order of the split, by teacher and path."""

    def run(batch: Batch) -> dict[str, Tensor]:
        outputs = teachers(batch)
        return {
            _tensor_name(name, path): value.cpu()
            for name, reads in teachers.needs.items()
            for path, value in _tensors(outputs[name], reads)
        }

    by_batch = map_batches(split, run, accelerator, limits=limits_for(split, BATCH_SIZE, accelerator, fixed=True))
    for name, first in by_batch[0][1].items():
        shape = first.shape[1:]
        for rows, tensors in by_batch:
            value = tensors[name]
            if not value.dim() or len(value) != len(rows) or value.shape[1:] != shape:
                raise _ShapesDifferError
    return {name: in_order((rows, tensors[name]) for rows, tensors in by_batch).contiguous() for name in by_batch[0][1]}


def _kept_on(device: torch.device, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors on a device, or unchanged if they would fill too much of its memory."""
    fits = sum(value.nbytes for value in tensors.values()) <= SHARE * free_memory(device)
    return {name: value.to(device) for name, value in tensors.items()} if fits else tensors


def _tensor_name(teacher: str, path: str) -> str:
    return f"{teacher} {path}"


def _tensors(outputs: ModelOutputs, reads: ModelReads) -> Iterator[tuple[str, Tensor]]:
    """Yield the logits, under an empty path, and the features that are read, by path."""
    if outputs.output is not None:
        yield "", outputs.output
    for path in reads.features:
        yield path, outputs[path]


def _bytes_per_row(outputs: Mapping[str, ModelOutputs], needs: Mapping[str, ModelReads]) -> float:
    values = [value for name, reads in needs.items() for _, value in _tensors(outputs[name], reads)]
    return sum(value.nbytes / max(len(value), 1) if value.dim() else value.nbytes for value in values)


def _cache_key(teachers: LiveTeachers, split: Split, device: torch.device) -> str:
    """Return the SHA-256 of all that the outputs depend on.

    That is: weights, every setting of every module, what is read, the inputs, precision, code, and where it is
    computed (packages, device, threads).
    """
    half = str(torch.get_autocast_dtype(device.type)) if torch.is_autocast_enabled(device.type) else None
    precision = half or ("tf32" if uses_tf32() else "fp32")
    machine = {name: value for name, value in environment(device).items() if name not in ("commit", "dirty")}
    digest = hashlib.sha256(f"{project_code_digest()} {machine} {precision} {teachers.needs}".encode())
    for name in teachers.needs:
        model = teachers.models[name]
        digest.update(f"{name} {model}".encode())
        for path, module in model.named_modules():
            digest.update(f"{path} {type(module).__module__} {module_settings(module)}".encode())
        for path, value in model.state_dict().items():
            digest.update(path.encode() + _bytes(value))
    for rows in batches(split, BatchLimits(rows=BATCH_SIZE)):
        for content in _input_bytes(teachers, split, rows):
            digest.update(content)
    return digest.hexdigest()


def _input_bytes(teachers: LiveTeachers, split: Split, rows: Sequence[int]) -> Iterator[bytes]:
    batch = read_batch(split, rows)
    for name in teachers.needs:
        inputs = teachers.inputs(name, batch, torch.device("cpu"))
        for value in [inputs] if isinstance(inputs, Tensor) else inputs.values():
            yield f"{list(rows)} {tuple(value.shape)}".encode() + _bytes(value)


def module_settings(module: nn.Module) -> list[str]:
    """Return the plain values that a module holds. Some, such as a number of heads, are not part of its `repr`."""
    plain = (bool, int, float, str, tuple, list, dict, type(None), *_configurations())
    return [
        f"{key}={value}" for key, value in sorted(vars(module).items()) if key[0] != "_" and isinstance(value, plain)
    ]


def _configurations() -> tuple[type, ...]:
    """Return the type of configurations, if a module can hold one: if a model has imported transformers."""
    transformers: Any = sys.modules.get("transformers")
    return () if transformers is None else (transformers.PreTrainedConfig,)


def _bytes(value: Tensor) -> bytes:
    flat = value.detach().cpu().reshape(-1).contiguous()
    return f"{value.dtype}".encode() + flat.view(torch.uint8).numpy().tobytes()


def _all_versioned(teachers: LiveTeachers) -> bool:
    return all(is_versioned(teachers.models[name]) for name in teachers.needs)


def is_versioned(model: nn.Module) -> bool:
    """Return whether all code of a model is versioned with the cache key, and its state consists of tensors."""
    tensors = all(isinstance(value, Tensor) for value in model.state_dict().values())
    return tensors and all(comes_from(module, VERSION_TELLS_OUTPUTS) for module in model.modules())
