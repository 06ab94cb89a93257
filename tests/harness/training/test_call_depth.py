"""From the command to the first gradient there are few calls, so that a newcomer can follow them."""

import sys
from pathlib import Path

import pytest
import torch

from harness.runs.reproduce import make_runs
from tests.helpers.project import ROOT, TINY, Write
from tests.helpers.training import experiment_of

RUN = "    teacher: {run: teacher.yaml, seed: 0}\n    criterion:\n      kd: {loss: KL}\n"
PACKAGES = tuple(str(ROOT / package) for package in ("zoo", "harness"))
MAX_FRAMES = 5
"""Counted from `make_runs` on. The command line may have five more: ten in all."""


class ReachedError(BaseException):
    """The first gradient is about to be computed."""


@pytest.mark.parametrize("teacher", [False, True], ids=["plain", "with a teacher that is trained first"])
def test_the_first_gradient_is_at_most_five_calls_deep(
    teacher: bool, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe_file(TINY.replace("name: tiny", "name: teacher"), name="teacher.yaml")
    text = TINY[: TINY.index("    criterion:")] + RUN if teacher else TINY
    experiment = experiment_of(recipe_file(text))
    calls: list[str] = []

    def backward(tensor: torch.Tensor) -> None:
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename.startswith(PACKAGES):
                calls.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
            frame = frame.f_back  # type: ignore[assignment]
        raise ReachedError

    monkeypatch.setattr(torch.Tensor, "backward", backward)
    with pytest.raises(ReachedError):
        list(make_runs([(experiment.entry, [0])], "retrain", experiment.context))
    assert len(calls) <= MAX_FRAMES, calls
