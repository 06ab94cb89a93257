"""Describe the machine and software of a run, and set what makes a run repeatable: determinism, precision, device."""

import atexit
import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from harness.models.deterministic_kernels import use_on_cuda
from harness.models.malloc import keep_freed_memory
from harness.models.provenance import RECORDED_PACKAGES, git_commit, package_versions
from zoo import paths
from zoo.errors import RecipeError, SourceError, UsageError
from zoo.recipes.schema import Precision, Recipe
from zoo.recipes.walk import walk_calls

ATTENTION = "attn_implementation"
"""The argument by which a recipe chooses how a model of transformers computes attention."""


@contextmanager
def deterministic() -> Iterator[None]:
    """Use deterministic algorithms only, inside the `with` block, and true fp32 instead of TF32 on CUDA devices.

    New memory is not filled. Filling costs a tenth of a training step, and only affects code that reads uninitialized
    memory. On CUDA devices, operations without a deterministic kernel get one (`deterministic_kernels`).

    Raises:
        UsageError: An operation inside the block has no deterministic algorithm.
    """
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    fill_before, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    # cuBLAS reads this variable when CUDA starts, so it must be set before any tensor is on the device
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("FLASH_ATTENTION_DETERMINISTIC", "1")  # torch's setting does not reach its package
    torch.use_deterministic_algorithms(True)
    if torch.cuda.is_available():
        use_on_cuda()
    torch.backends.cudnn.benchmark = False
    try:
        with tf32(False):
            yield
    except RuntimeError as error:
        operation, is_without_algorithm, _ = str(error).partition(" does not have a deterministic implementation")
        if not is_without_algorithm:
            raise
        message = f"torch has no deterministic algorithm for {operation} on this device; use --device cpu, or another"
        raise UsageError(f"{message} layer or loss") from error
    finally:
        torch.use_deterministic_algorithms(was_deterministic)
        memory.fill_uninitialized_memory = fill_before


@contextmanager
def tf32(enabled: bool) -> Iterator[None]:
    """Allow or forbid TF32 for fp32 matrix products and convolutions on CUDA devices, inside the `with` block."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = enabled
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context in which forward passes are computed in this precision; with fp32 it does nothing."""
    half = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, half, enabled=precision != "fp32")


def check_precision(device: torch.device, precision: Precision) -> None:
    """Raise SourceError if the device cannot train in this precision."""
    if precision == "fp16" and device.type != "cuda":
        raise SourceError(
            f"training in fp16 needs a CUDA device, not {device.type}: its gradients must be scaled."
            " Use --precision bf16, which has the range of fp32 and runs on every device"
        )


def check_attention(recipe: Recipe, device: torch.device, precision: Precision) -> None:
    """Raise RecipeError if a model of the recipe needs a GPU and half precision for its kind of attention."""
    if device.type == "cuda" and precision != "fp32":
        return
    for _, call in walk_calls(recipe):
        if (name := str(call.args.get(ATTENTION))).startswith("flash_attention"):
            mark, advice = call.marks[ATTENTION], "pass --device cuda and --precision bf16, or write sdpa"
            raise RecipeError.at(mark, f"{name} computes in half precision, on a GPU: {advice}")


def accelerator_on(device: str | None) -> Accelerator:
    """Return an accelerator on a device.

    Under `torchrun` each process gets an accelerator, and works on a part of every batch.

    Args:
        device: "cpu", "cuda" or "mps"; None picks the best one available.

    Raises:
        SourceError: The device is not available, or this process already uses another one.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device is not None and not available.get(device, False):
        names = ", ".join(name for name, is_available in available.items() if is_available)
        raise SourceError(f"device {device!r} is not available on this machine; available: {names}")
    # a forward pass that stops early, or a loss term without the student, leaves some parameters without gradients
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    chosen = device or next(name for name in ("cuda", "mps", "cpu") if available[name])
    # `cpu` is explicit: accelerate joins CPU processes into one group only if it is set
    # `mixed_precision` is explicit: `accelerate config` could set one that the record does not show
    accelerator = Accelerator(cpu=chosen == "cpu", mixed_precision="no", kwargs_handlers=[unused])
    if device is not None and accelerator.device.type != device:
        current = accelerator.device.type
        raise SourceError(f"this process already runs on {current}; start another process for {device}")
    if accelerator.device.type == "cpu":
        keep_freed_memory()
        _avoid_missing_attention_kernel()
    if accelerator.num_processes > 1:
        atexit.register(accelerator.end_training)
    return accelerator


def _avoid_missing_attention_kernel() -> None:
    """Turn fused attention off if the user limits torch's instructions to less than AVX-512.

    torch asks the processor, not this limit, whether to pack bf16 keys for AMX, and then fails with "pack_vnni2 is only
    supported when avx512 is supported". Its unfused attention works everywhere.
    """
    if "ATEN_CPU_CAPABILITY" in os.environ and "AVX512" not in torch.backends.cpu.get_cpu_capability():
        torch.backends.cuda.enable_flash_sdp(False)  # in spite of its name, this switch is also for the CPU


def environment(device: torch.device) -> dict[str, Any]:
    """Return commit, package versions, device, threads and determinism as plain data, without host names or paths."""
    commit, dirty = git_commit(paths.checkout())
    return {
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}",
        "packages": package_versions(RECORDED_PACKAGES),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }


def peak_memory() -> int:
    """Return the peak resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
