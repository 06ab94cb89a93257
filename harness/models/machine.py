"""Describe this machine and its software for a bug report. It works without torch too, whose import may be the bug."""

import os
import platform
import re
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
from huggingface_hub import constants

from harness.models.private_text import variable_without_secrets, without_secrets
from harness.models.provenance import RECORDED_PACKAGES, RESULT_PACKAGES, git_commit, package_versions
from zoo import paths
from zoo.errors import first_line
from zoo.tracebacks import project_version

PACKAGES = sorted({*RECORDED_PACKAGES, *RESULT_PACKAGES, "triton", "flash-attn", "huggingface_hub", "typer"})
VARIABLE = re.compile(
    r"(OMP|MKL|KMP|GOMP|OPENBLAS|CUDA|CUBLAS|CUDNN|NVIDIA|NCCL|GLOO|TORCH|TORCHINDUCTOR|PYTORCH|TRITON|ATEN|HF"
    r"|HUGGINGFACE|TRANSFORMERS|TOKENIZERS|ACCELERATE|FLASH|MALLOC|XDG|ZOO)_.*|(LOCAL_|GROUP_)?RANK|(LOCAL_)?WORLD_SIZE"
    r"|LD_PRELOAD|LD_LIBRARY_PATH|PYTHONPATH|PYTHONHASHSEED|VIRTUAL_ENV|CONDA_PREFIX|TMPDIR|(HTTPS?|ALL)_PROXY"
    r"|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|CI|NO_COLOR|COLUMNS",
    re.IGNORECASE,
)
"""Matches the names of environment variables that can change what zoo does."""


def describe_machine() -> dict[str, Any]:
    """Return versions, devices, settings and folders as plain data, without secrets."""
    commit, dirty = git_commit(paths.checkout())
    return {
        "zoo": {"version": project_version(), "commit": commit, "dirty": dirty},
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "executable": without_secrets(sys.executable),
        },
        "platform": platform.platform(),
        "cpu": _cpu(),
        "packages": package_versions(PACKAGES),
        "torch": _torch(),
        "variables": {
            name: variable_without_secrets(name, value)
            for name, value in sorted(os.environ.items())
            if VARIABLE.fullmatch(name)
        },
        "folders": _folders(),
    }


def _cpu() -> dict[str, Any]:
    """Return the name of the processor, its number of cores, those that this process may use, and the memory."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text(encoding="utf-8")) if info.exists() else None
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "name": found[1] if found else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": usable,
        "memory_bytes": psutil.virtual_memory().total,
    }


def _torch() -> dict[str, Any]:
    """Return how torch was built, its devices and its threads, or the error that torch raises."""
    try:
        details: dict[str, Any] = import_module("harness.models.devices").torch_details()
    except Exception as error:  # a bug report names any error, also those of CUDA that are no RuntimeError
        return {"error": without_secrets(f"{type(error).__name__}: {first_line(error)}")}
    return details


def _folders() -> dict[str, dict[str, Any]]:
    """Return the folders that zoo writes, each with its path and the free bytes of its disk."""
    folders = {
        "runs": paths.runs(),
        "other files of zoo": paths.home(),
        "cache of the Hub": Path(constants.HF_HUB_CACHE),
        "temporary files": Path(tempfile.gettempdir()),
    }
    return {name: {"path": without_secrets(str(path)), "free_bytes": _free(path)} for name, path in folders.items()}


def _free(path: Path) -> int | None:
    """Return the free bytes of the disk that a folder is on, or will be on; None if nobody may look."""
    try:
        return shutil.disk_usage(next(folder for folder in (path, *path.absolute().parents) if folder.exists())).free
    except OSError:
        return None
