"""Models and losses are built without memory at `zoo check`; only what torch cannot do so is left for later."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo.models import build_watch
from zoo.recipes import check_calls
from zoo.recipes.build import Builder
from zoo.recipes.values import Call


def refuse(error: Exception) -> Callable[[], Any]:
    def build() -> None:
        raise error

    return build


BUILDS: dict[str, tuple[Callable[[], Any], bool]] = {
    "a name with meta": (refuse(TypeError("unexpected keyword argument 'metadata'")), True),
    "the word meta": (refuse(ValueError("meta must be a number")), True),
    "another error": (refuse(KeyError("depth")), True),
    "a single value": (lambda: torch.zeros(1).item(), False),
    "a branch on a value": (lambda: bool(torch.zeros(1) > 0), False),
    "a list": (lambda: torch.zeros(3).tolist(), False),
    "numpy": (lambda: torch.zeros(3).numpy(), False),
    "an operation": (lambda: torch.unique(torch.zeros(3)), False),
    "positions": (lambda: torch.zeros(3).nonzero(), False),
    "another device": (lambda: torch.zeros(3) + torch.zeros(3, device="cpu"), False),
}


@pytest.mark.parametrize(("build", "is_reported"), BUILDS.values(), ids=BUILDS)
def test_a_problem_is_left_for_later_only_if_torch_needs_memory(
    build: Callable[[], Any], is_reported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Builder, "target", lambda *_: build)
    call = Call(use="timm.models.metaformer.caformer_s18")
    problems = check_calls._refusals_without_memory(Builder(), call, "model")
    assert (problems is not None) == is_reported
    assert problems is None or [problem.message.split(":")[0] for problem in problems] == [call.use]


@pytest.mark.parametrize(("use", "is_interrupted"), [("KL", True), ("mine.Perceptual", False)])
def test_only_a_loss_of_the_user_may_take_long_to_build(
    use: str, is_interrupted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may load gigabytes of weights, of a perceptual loss for example."""
    monkeypatch.setattr(build_watch, "INTERVAL", 0.01)
    monkeypatch.setenv("ZOO_MAX_BUILD_SECONDS", "0")
    monkeypatch.setattr(Builder, "target", lambda *_: lambda: time.sleep(0.1))
    problems = list(check_calls._loss_problems(Call(use=use), Builder()))
    assert ["building takes more than 0 s" in problem.message for problem in problems] == [True] * is_interrupted
