"""The memory of the device that a run is computed on."""

import psutil
import torch


def total_memory(device: torch.device) -> int:
    """Return the bytes of memory that a device has; on a CPU or MPS those of the machine."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return int(psutil.virtual_memory().total)


def free_memory(device: torch.device) -> int:
    """Return the bytes that can still be allocated on a device, with those that torch keeps for later use."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    return int(psutil.virtual_memory().available)


def spare_memory(device: torch.device) -> int:
    """Return the bytes that were left on a CUDA device at the peak of this process; on others those left now."""
    since_peak = (
        torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    )
    return free_memory(device) - since_peak
