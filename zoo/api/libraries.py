"""Settings of the libraries that zoo uses."""

import os
import sys


def configure_libraries() -> None:
    """Switch off the libraries' telemetry, warnings and progress bars, unless the environment says otherwise.

    On a Mac, let torch compute on the CPU what its GPU cannot.
    """
    for name in (
        "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_EVALUATE_OFFLINE",
        "DISABLE_SAFETENSORS_CONVERSION",
    ):  # fmt: skip
        os.environ.setdefault(name, "1")
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if sys.platform == "darwin":  # read when torch is imported; the record names the operations
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    if "RANK" in os.environ:  # DDP warns about parameters that no stage has left out yet
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
