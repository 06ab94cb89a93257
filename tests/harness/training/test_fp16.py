"""Methods train in half precision, with losses near those in fp32: all on a CUDA device, four in fp16 on a CPU."""

import math
import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from harness.training.train import train
from tests.helpers.device import device
from tests.helpers.training import logged_losses, training_of
from zoo.recipes import catalogue
from zoo.recipes.claim import Precision

METHODS = {entry.name: entry.path for entry in catalogue.entries() if entry.suite == "methods"}
NEAR = ("crd", "dist", "kd", "sskd")
"""Methods whose losses are compared step by step; the losses of the others must be finite."""
STEPS = 50


def cases() -> list[Any]:
    """Return methods with a precision, on a CUDA device all of them; on a CPU they are slow."""
    if device() == "cuda":
        return [pytest.param(name, half, id=f"{name}-{half}") for name in METHODS for half in ("bf16", "fp16")]
    return [pytest.param(name, "fp16", id=name, marks=pytest.mark.slow) for name in NEAR]


def losses(path: Path, precision: Precision) -> list[float]:
    """Return the losses of a training; on a CPU zoo itself refuses fp16, which is slow there."""
    run = training_of(path, path.parent / precision)
    trained = train(replace(run, options=replace(run.options, precision=precision)))
    assert not trained.failure, trained.failure
    return [loss for (loss,) in logged_losses(run.folder, "total")]


@pytest.mark.parametrize(("method", "precision"), cases())
def test_two_epochs_in_half_precision_have_losses_near_those_in_fp32(
    method: str, precision: Precision, tmp_path: Path
) -> None:
    """The scaler skips a step or two at first, so the losses are compared as means of ten steps."""
    path = tmp_path / f"{method}.yaml"
    path.write_text(re.sub(r"epochs: \d+", "epochs: 2", METHODS[method].read_text().partition("claims:")[0]))
    single, half = losses(path, "fp32"), losses(path, precision)
    assert len(single) == len(half)
    assert all(map(math.isfinite, single))
    for start in range(0, STEPS, 10) if method in NEAR else ():
        ours, theirs = fmean(half[start : start + 10]), fmean(single[start : start + 10])
        assert ours == pytest.approx(theirs, abs=0.2 * single[0])
