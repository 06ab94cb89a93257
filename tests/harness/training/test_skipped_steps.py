"""A step that the gradient scaler skips changes no parameter, and nothing that a later step reads."""

import inspect
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from harness.models.rounding import rounding_tolerance
from harness.training.optimization import build_optimizer
from tests.helpers.project import TINY, Write
from tests.helpers.training import stage_of
from zoo.errors import Mark, RecipeError
from zoo.recipes.build import Builder
from zoo.recipes.values import Call

FUSED = [
    name
    for name, value in vars(torch.optim).items()
    if inspect.isclass(value) and issubclass(value, Optimizer) and "fused" in inspect.signature(value).parameters
]
SETTINGS = [
    *((name, {}) for name in FUSED),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    ("SGD", {"momentum": 0.9, "maximize": True}),
    ("SGD", {"momentum": 0.9, "dampening": 0.5}),
    ("Adam", {"amsgrad": True}),
    ("Adagrad", {"initial_accumulator_value": 0.1}),
]
STEPS = 6


@pytest.fixture(autouse=True)
def memory_that_is_not_filled_is_nan() -> Iterator[None]:
    """Fill every new tensor with NaN until something is written to it."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def optimizer_of(model: nn.Module, name: str, settings: dict[str, object], *, fused: bool) -> Optimizer:
    call = Call(use=name, args={"lr": 0.1, **settings, **({} if fused else {"foreach": False})})
    return build_optimizer(call, [{"params": list(model.parameters())}], Builder(), can_skip=True)


def trained(
    name: str, settings: dict[str, object], skipped: set[int], *, fused: bool, resumed: int = -1
) -> list[Tensor]:
    """Return the parameters after some steps; the gradients of the skipped ones are infinite.

    Before the step `resumed` everything is loaded into new objects, as after an interruption.
    """
    torch.manual_seed(0)
    inputs, model, scaler = torch.randn(STEPS, 16, 5), nn.Linear(5, 3), torch.amp.GradScaler("cpu", init_scale=2.0)
    optimizer = optimizer_of(model, name, settings, fused=fused)
    for step, batch in enumerate(inputs):
        if step == resumed:
            states = model.state_dict(), optimizer.state_dict(), scaler.state_dict()
            model, scaler = nn.Linear(5, 3), torch.amp.GradScaler("cpu")
            optimizer = optimizer_of(model, name, settings, fused=fused)
            for loaded, state in zip((model, optimizer, scaler), states, strict=True):
                loaded.load_state_dict(state)  # type: ignore[attr-defined]
        loss = model(batch).square().mean() * (math.inf if step in skipped else 1)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("skipped", [{0}, {0, 1}, {3}, set()], ids=str)
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_a_fused_optimizer_skips_steps_as_the_plain_one_does(
    name: str, settings: dict[str, object], skipped: set[int]
) -> None:
    expected = trained(name, settings, skipped, fused=False)
    for resumed in (-1, 1, 4):
        for ours, theirs in zip(trained(name, settings, skipped, fused=True, resumed=resumed), expected, strict=True):
            allowed = STEPS * rounding_tolerance(torch.float32, 16 + 5, float(theirs.abs().max()))
            torch.testing.assert_close(ours, theirs, rtol=0, atol=allowed)


def test_a_fused_optimizer_that_cannot_skip_its_first_step_is_refused_in_fp16() -> None:
    settings = {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "fused": True}
    call, groups = (
        Call(use="SGD", args=settings, mark=Mark(path="mine.yaml", line=7, column=3)),
        [{"params": [torch.zeros(2)]}],
    )
    assert build_optimizer(call, groups, Builder()).defaults["fused"]
    with pytest.raises(RecipeError, match=r"mine.yaml:7:3.*remove `fused: true`"):
        build_optimizer(call, groups, Builder(), can_skip=True)


def test_momentum_that_a_schedule_sets_is_not_undefined_memory(recipe_file: Write) -> None:
    text = TINY.replace(", momentum: 0.9", "").replace(
        "{use: linear, warmup: 0.2}", "{use: torch.optim.lr_scheduler.OneCycleLR, max_lr: 0.1, total_steps: 15}"
    )
    optimizer = stage_of(recipe_file(text)).optimizer
    (group,) = optimizer.param_groups
    assert group["momentum"] > 0
    assert len(optimizer.state) == len(group["params"])
    assert not any(state["momentum_buffer"].any() for state in optimizer.state.values())


def test_an_optimizer_whose_fused_kernel_may_lack_for_a_gpu_is_not_fused_there() -> None:
    for device, fused in (("cpu", True), ("meta", None)):
        call, groups = Call(use="Adagrad", args={"lr": 0.1}), [{"params": [torch.zeros(2, device=device)]}]
        assert build_optimizer(call, groups, Builder()).defaults["fused"] is fused
