"""The devices of this machine: which there are, which one is chosen, and how much of its memory a run needed."""

import os
from typing import Any

import torch
from torch.utils import collect_env

from zoo.errors import SourceError, UsageError
from zoo.recipes.devices import AUTO, parse_devices


def choose_device(text: str | None) -> torch.device:
    """Return the device that the value of `--device` names; for None and `auto` the best one available.

    Raises:
        UsageError: It names several devices, or a GPU by its number in one of several processes of torchrun.
        SourceError: The device is not available.
    """
    names = parse_devices(text)
    if len(names) > 1:
        raise UsageError(
            f"--device {text} names several devices for one process; name one, or pass --jobs {len(names)} too to"
            " zoo verify or zoo reproduce"
        )
    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(kind for kind in kinds if kinds[kind]) if names[0] == AUTO else names[0]
    device = torch.device(name)
    if has_number(device) and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(f"--device {name}: torchrun gives each process a GPU of its own; pass --device cuda")
    if not kinds[device.type] or (has_number(device) and device.index >= torch.cuda.device_count()):
        listed = ", ".join(describe(found) for found in available_devices())
        raise SourceError(f"device {name!r} is not available on this machine; available: {listed}{_hint(device)}")
    return device


def available_devices() -> list[torch.device]:
    """Return all devices of this machine that torch can use."""
    gpus = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    mps = [torch.device("mps")] if torch.backends.mps.is_available() else []
    return [torch.device("cpu"), *gpus, *mps]


def describe(device: torch.device) -> str:
    """Return the name of a device, for a GPU with its model, such as `cuda:0 (NVIDIA H100)`."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def has_number(device: torch.device) -> bool:
    """Return whether a device is named by its number, such as `cuda:1`."""
    return ":" in str(device)


def is_same(current: torch.device, wanted: torch.device) -> bool:
    """Return whether a process that computes on one device can do what another one is wanted for."""
    return current.type == wanted.type and (not has_number(wanted) or wanted.index == (current.index or 0))


def reset_peak_memory(device: torch.device) -> None:
    """Start to measure the peak of the memory of a CUDA device again."""
    if device.type == "cuda" and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats(device)


def device_peak_memory(device: torch.device) -> dict[str, int]:
    """Return the most memory of a CUDA device that tensors had, in bytes; nothing for another device."""
    return {"device_peak_memory_bytes": torch.cuda.max_memory_allocated(device)} if device.type == "cuda" else {}


def _hint(device: torch.device) -> str:
    """Return why a CUDA device may be missing."""
    if device.type != "cuda":
        return ""
    if torch.version.cuda is None:
        return f"; torch {torch.__version__} is built without CUDA: install a build with it, see pytorch.org"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if visible is None else f"; CUDA_VISIBLE_DEVICES={visible} hides the others"


def torch_details() -> dict[str, Any]:
    """Return how torch was built, the driver, all devices, and the threads as plain data."""
    return {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "driver": collect_env.get_nvidia_driver_version(collect_env.run),  # type: ignore[no-untyped-call]
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "devices": [_device_details(device) for device in available_devices()],
    }


def _device_details(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {"device": str(device)}
    properties = torch.cuda.get_device_properties(device)
    return {
        "device": str(device),
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
    }
