"""Describe the machine and software of a run, and set what makes a run repeatable: determinism, precision, device."""

import atexit
import os
import platform
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, patch_environment
from torch import nn

from harness.models.deterministic_kernels import use_on_cuda
from harness.models.devices import choose_device, has_number, is_same
from harness.models.malloc import keep_freed_memory
from harness.models.provenance import RECORDED_PACKAGES, git_commit, package_versions
from zoo import paths
from zoo.errors import RecipeError, SourceError, UsageError
from zoo.fetch.quantized_weights import is_quantized
from zoo.recipes.claim import Precision
from zoo.recipes.devices import kind_of
from zoo.recipes.schema import Recipe
from zoo.recipes.walk import walk_calls

ATTENTION = "attn_implementation"
"""The argument by which a recipe chooses how a model of transformers computes attention."""


HALF = ("bf16", "fp16")
"""The precisions that are computed under torch's autocast."""


@contextmanager
def deterministic(precision: Precision = "fp32", model: nn.Module | None = None) -> Iterator[None]:
    """Use deterministic algorithms only, inside the `with` block, and TF32 on CUDA devices only for `tf32`.

    New memory is not filled. Filling costs a tenth of a training step, and only affects code that reads uninitialized
    memory. On CUDA devices, operations without a deterministic kernel get one (`deterministic_kernels`).

    Args:
        precision: The precision of the computation.
        model: The model that computes, if there is one. The kernels of a quantized model compute with whole numbers, so
            they are deterministic, but torch refuses some of them.

    Raises:
        UsageError: An operation inside the block has no deterministic algorithm.
    """
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    fill_before, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    # cuBLAS reads this variable when CUDA starts, so it must be set before any tensor is on the device
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("FLASH_ATTENTION_DETERMINISTIC", "1")  # torch's setting does not reach its package
    torch.use_deterministic_algorithms(model is None or not is_quantized(model))
    if torch.cuda.is_available():
        use_on_cuda()
    torch.backends.cudnn.benchmark = False
    try:
        with tf32(precision == "tf32"):
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
    """Use TF32 or true fp32 for matrix products, convolutions and RNNs on CUDA devices, inside the `with` block."""
    before = [setting.fp32_precision for setting in _tf32_settings()]
    try:
        _set_tf32(["tf32" if enabled else "ieee"] * len(before))
        yield
    finally:
        _set_tf32(before)


def _tf32_settings() -> tuple[Any, ...]:
    """Return the settings of torch for matrix products, convolutions and RNNs on CUDA devices."""
    cudnn: Any = torch.backends.cudnn
    return torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn


def _set_tf32(values: Sequence[str]) -> None:
    """Set the values of `_tf32_settings`, and the older settings to the same.

    `torch.compile` still reads the older settings, and fails if they contradict the others. torch 2.9 warns that they
    are deprecated.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Please use the new API settings to control TF32")
        torch.backends.cuda.matmul.allow_tf32 = values[0] == "tf32"
        torch.backends.cudnn.allow_tf32 = values[1] == "tf32"
    for setting, value in zip(_tf32_settings(), values, strict=True):
        setting.fp32_precision = value


def uses_tf32() -> bool:
    """Return whether CUDA devices compute the products of fp32 matrices in TF32."""
    return str(torch.backends.cuda.matmul.fp32_precision) == "tf32"


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context in which forward passes are computed in this precision; for fp32 and TF32 it does nothing."""
    half = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, half, enabled=precision in HALF)


def check_precision(device: torch.device, precision: Precision) -> None:
    """Check that the device can train and evaluate in this precision.

    Raises:
        UsageError: TF32 without a CUDA device.
        SourceError: fp16 without a CUDA device.
    """
    if precision == "tf32" and device.type != "cuda":
        raise UsageError(
            f"--precision tf32 is the arithmetic of NVIDIA GPUs, and this run is on {device.type}: pass --device cuda"
            " on a machine that has one, or use --precision fp32 here"
        )
    if precision == "fp16" and device.type != "cuda":
        raise SourceError(
            f"--precision fp16 needs a CUDA device, not {device.type}, because a training in fp16 scales its gradients."
            " Use --precision bf16, which has the range of fp32 and runs on every device"
        )


def check_attention(recipe: Recipe, device: torch.device, precision: Precision) -> None:
    """Raise RecipeError if a model of the recipe needs a GPU and half precision for its kind of attention."""
    if device.type == "cuda" and precision in HALF:
        return
    for _, call in walk_calls(recipe):
        if (name := str(call.args.get(ATTENTION))).startswith("flash_attention"):
            mark, advice = call.marks[ATTENTION], "pass --device cuda and --precision bf16, or write sdpa"
            raise RecipeError.at(mark, f"{name} computes in half precision, on a GPU: {advice}")


def accelerator_on(device: str | None) -> Accelerator:
    """Return an accelerator on a device.

    Under `torchrun` each process gets an accelerator, and works on a part of every batch.

    Args:
        device: "cpu", "cuda", "mps", or a GPU such as "cuda:1"; None or "auto" picks the best one available.

    Raises:
        UsageError: It names several devices, or one of torchrun's.
        SourceError: The device is not available, or this process already uses another one.
    """
    chosen = choose_device(device)
    # a forward pass that stops early, or a loss term without the student, leaves some parameters without gradients
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    # `cpu` is explicit: accelerate joins CPU processes into one group only if it is set
    # `mixed_precision` is explicit: `accelerate config` could set one that the record does not show
    with _numbered(chosen):
        accelerator = Accelerator(cpu=chosen.type == "cpu", mixed_precision="no", kwargs_handlers=[unused])
    if kind_of(device) is not None and not is_same(accelerator.device, chosen):
        raise SourceError(f"this process already runs on {accelerator.device}; start another process for {device}")
    if has_number(chosen):
        torch.cuda.set_device(chosen)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
        _avoid_missing_attention_kernel()
    if accelerator.num_processes > 1:
        atexit.register(accelerator.end_training)
    return accelerator


def _numbered(device: torch.device) -> AbstractContextManager[None]:
    """Return the context in which accelerate chooses a GPU that has a number."""
    if not has_number(device):
        return nullcontext()
    context: AbstractContextManager[None] = patch_environment(accelerate_torch_device=device)
    return context


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
