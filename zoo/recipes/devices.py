"""The names of devices that `--device` accepts, and which device each of several processes gets. Without torch."""

import os
import re
import sys
from pathlib import Path

from zoo.errors import SourceError, UsageError, did_you_mean

AUTO = "auto"
KINDS = (AUTO, "cpu", "cuda", "mps")
GPU = re.compile(r"cuda:(0|[1-9]\d{0,2})")
DEVICE_FILES = Path("/dev")
GPU_FILES = ("nvidia*", "nvhost*", "nvgpu*", "kfd", "dxg")
"""Files in /dev of a Linux machine with a GPU: of NVIDIA, of its Jetson boards, of AMD, and of Windows around it."""


def parse_devices(text: str | None) -> tuple[str, ...]:
    """Return the names in the value of `--device`; `auto` for None.

    Args:
        text: `auto`, `cpu`, `mps`, `cuda`, a GPU by its number such as `cuda:1`, or a list such as `cuda:0,cuda:1`.

    Raises:
        SourceError: A name is not the name of a device.
        UsageError: The list has other names than those of single GPUs.
    """
    names = tuple(name.strip() for name in (AUTO if text is None else text).split(","))
    for name in names:
        if name not in KINDS and not GPU.fullmatch(name):
            hint = did_you_mean(name, list(KINDS))
            raise SourceError(f"--device {text}: {name!r} is not auto, cpu, mps, cuda, or a GPU such as cuda:1{hint}")
    if len(names) > 1 and not all(GPU.fullmatch(name) for name in names):
        raise UsageError(f"--device {text}: a list can only have GPUs by their numbers, such as cuda:0,cuda:1")
    return names


def kind_of(text: str | None) -> str | None:
    """Return the kind of the devices in the value of `--device`: cpu, cuda or mps; None for `auto`."""
    kind = parse_devices(text)[0].partition(":")[0]
    return None if kind == AUTO else kind


def kind_here(text: str | None) -> str | None:
    """Return the kind of the devices that the value of `--device` stands for on this machine, without torch.

    `auto` is `cpu` on a Linux machine without a GPU, or whose GPUs CUDA_VISIBLE_DEVICES hides. Elsewhere only torch
    knows which device it is, and the result is None.
    """
    kind = kind_of(text)
    if kind is not None or sys.platform != "linux":
        return kind
    is_visible = number_of_gpus(text) > 0 if "CUDA_VISIBLE_DEVICES" in os.environ else True
    has_gpu = any(True for name in GPU_FILES for _ in DEVICE_FILES.glob(name))
    return None if is_visible and has_gpu else "cpu"


def device_of_process(text: str | None, number: int, gpus: int) -> str:
    """Return the device of one of several processes: they take turns with the devices.

    Args:
        text: The value of `--device`. `cuda` and `auto` stand for all GPUs of this machine, if it has any.
        number: The number of the process, from 0.
        gpus: The number of CUDA devices of this machine.
    """
    names = parse_devices(text)
    if names in ((AUTO,), ("cuda",)) and gpus:
        names = tuple(f"cuda:{index}" for index in range(gpus))
    return names[number % len(names)]


def number_of_gpus(text: str | None) -> int:
    """Return how many NVIDIA GPUs of this machine the value of `--device` stands for, without torch.

    Args:
        text: The value of `--device`. `cuda` and `auto` stand for all GPUs that CUDA_VISIBLE_DEVICES names.
    """
    names = parse_devices(text)
    if names not in ((AUTO,), ("cuda",)):
        return sum(bool(GPU.fullmatch(name)) for name in names)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    return len([path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdigit()])
