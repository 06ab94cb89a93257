"""Where and with what something was measured, and how its numbers are written and compared."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.arena import Measured, quartiles
from harness.models.provenance import git_commit, package_versions
from zoo import paths

PACKAGES = ("torch", "transformers", "torchdistill", "accelerate", "torchvision")


def cpu_model() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def machine() -> dict[str, Any]:
    """Return the processor, the number of threads, and the versions of Python and packages."""
    here = {"cpu": cpu_model(), "cores": os.cpu_count(), "threads": os.cpu_count(), "python": platform.python_version()}
    return here | package_versions(PACKAGES)


def commit() -> str:
    """Return the commit of the checkout that is measured, followed by `+` if there are uncommitted changes."""
    revision, is_dirty = git_commit(paths.checkout())
    return str(revision or "unknown")[:12] + "+" * bool(is_dirty)


def spread(seconds: Sequence[float], scale: float = 1) -> str:
    """Return the median and, in parentheses, the quartiles."""
    scaled = (value * scale for value in quartiles(seconds))
    low, middle, high = (f"{value:.3g}" if value < 1000 else f"{value:,.0f}" for value in scaled)
    return f"{middle} ({low} to {high})"


def difference(measured: Measured, of_zoo: Measured) -> dict[str, Any]:
    """Return the difference of a contender's results from zoo's, in the worst round."""
    results = [(run.results, other.results) for run, other in zip(measured.runs, of_zoo.runs, strict=True)]
    if "logits" in results[0][0]:
        pairs = [(np.asarray(a["logits"]), np.asarray(b["logits"])) for a, b in results]
        return {
            "differing_predictions": max(int((a.argmax(1) != b.argmax(1)).sum()) for a, b in pairs),
            "logit_difference": max(float(np.abs(a - b).max()) for a, b in pairs),
        }
    if "losses" in results[0][0] and "losses" in results[0][1]:
        differences = [np.abs(np.subtract(a["losses"], b["losses"])) for a, b in results]
        return {"loss_difference": float(np.max(differences))}
    return {}
