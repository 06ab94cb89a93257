"""What a run ran on, and the switches that make it repeatable."""

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

from harness.models.malloc import keep_freed_memory
from harness.models.provenance import RECORDED_PACKAGES, git_commit, package_versions
from zoo import paths
from zoo.errors import SourceError
from zoo.recipes.schema import Precision


@contextmanager
def deterministic() -> Iterator[None]:
    """Deterministic algorithms only, inside the `with`; torch raises RuntimeError for an operation that has none.

    And fp32 is fp32: on a CUDA device convolutions are otherwise computed in TF32. New memory is not filled:
    that costs a tenth of a step, and only matters to code that reads what it never wrote.
    """
    before = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    # cuBLAS reads this when CUDA starts, so it must be there before any tensor is on the device
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        with tf32(False):
            yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filled


@contextmanager
def tf32(wanted: bool) -> Iterator[None]:
    """Products of fp32 on a CUDA device in TF32, or not, inside the `with`."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = wanted
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The `with` in which forwards are computed in a precision."""
    half = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, half, enabled=precision != "fp32")


def check_precision(device: torch.device, precision: Precision) -> None:
    """Raise SourceError for a precision that the device cannot train in."""
    if precision == "fp16" and device.type != "cuda":
        raise SourceError(
            f"fp16 needs a CUDA device, not {device.type}: its gradients need scaling there;"
            " bf16 has the range of fp32 and runs here"
        )


def accelerator_on(device: str | None) -> Accelerator:
    """An accelerator on cpu, cuda or mps; on the best there is when None. Raises SourceError where it is missing.

    Under `torchrun` it is one of many: each process has its own part of every batch.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device is not None and not available.get(device, False):
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise SourceError(f"no device {device!r} here; there is {there}")
    # a forward that stops early, or a term without the student, leaves parameters out
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    wanted = device or next(name for name in ("cuda", "mps", "cpu") if available[name])
    # said outright also where there is nothing else: accelerate makes processes on the CPU one only if it is told so
    # precision is ours to set: an environment made by `accelerate config` would set it unseen by the record
    accelerator = Accelerator(cpu=wanted == "cpu", mixed_precision="no", kwargs_handlers=[unused])
    if device is not None and accelerator.device.type != device:
        there = accelerator.device.type
        raise SourceError(f"this process already runs on {there}; {device} needs a process of its own")
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    if accelerator.num_processes > 1:
        atexit.register(accelerator.end_training)
    return accelerator


def environment(device: torch.device) -> dict[str, Any]:
    """Commit, packages, device, threads and determinism, as plain data; no name of a machine or a path."""
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
    """The largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
