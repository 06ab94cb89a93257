"""Methods train in fp16 with a gradient scaler, with losses near those in fp32. Four stand for all on a CPU."""

import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from harness.training.train import train
from tests.helpers.project import ROOT
from tests.helpers.training import logged_losses, training_of
from zoo.recipes.schema import Precision

METHODS = [ROOT / "configs" / "methods" / f"{name}.yaml" for name in ("crd", "dist", "kd", "sskd")]
STEPS = 50


def first_losses(path: Path, precision: Precision) -> list[float]:
    """Return the first losses of a training; on a CPU zoo itself refuses fp16, which is slow there."""
    run = training_of(path, path.parent / precision)
    trained = train(replace(run, options=replace(run.options, precision=precision)))
    assert not trained.failure, trained.failure
    return [loss for (loss,) in logged_losses(run.folder, "total")[:STEPS]]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=lambda path: path.stem)
def test_the_first_losses_in_fp16_stay_near_those_in_fp32(method: Path, tmp_path: Path) -> None:
    """The scaler skips a step or two at first, so the losses are compared as means of ten steps."""
    path = tmp_path / method.name
    path.write_text(re.sub(r"epochs: \d+", "epochs: 2", method.read_text().partition("claims:")[0]))
    single, half = first_losses(path, "fp32"), first_losses(path, "fp16")
    assert len(single) == len(half) == STEPS
    for start in range(0, STEPS, 10):
        ours, theirs = fmean(half[start : start + 10]), fmean(single[start : start + 10])
        assert ours == pytest.approx(theirs, abs=0.2 * single[0])
