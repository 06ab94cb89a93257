"""From the command to the first gradient there are few calls, so that a newcomer can follow them."""

import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.device import device
from tests.helpers.project import ROOT, TINY, Write, Zoo

RUN = "    teacher: {run: teacher.yaml, seed: 0}\n    criterion:\n      kd: {loss: KL}\n"
PACKAGES = tuple(str(ROOT / package) for package in ("zoo", "harness"))


class ReachedError(BaseException):
    """The first gradient is about to be computed."""


@pytest.mark.parametrize("teacher", [False, True], ids=["plain", "with a teacher that is trained first"])
def test_the_first_gradient_is_at_most_ten_calls_below_the_command(
    teacher: bool, recipe_file: Write, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe_file(TINY.replace("name: tiny", "name: teacher"), name="teacher.yaml")
    path = recipe_file(TINY[: TINY.index("    criterion:")] + RUN if teacher else TINY)
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
        zoo("reproduce", path, "--train", "--seeds", "1", "--device", device())
    assert calls
    assert len(calls) <= 10, "\n".join(calls)
