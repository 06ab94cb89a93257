"""Optimizer settings and learning-rate schedules."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import schedules
from harness.models.rounding import rounding_tolerance
from tests.helpers.device import device
from tests.helpers.project import TINY, Write, Zoo
from tests.helpers.training import PERCEPTRON, batch_of, stage_of
from tests.helpers.user_module import USER_MODULE


def test_a_setting_of_a_parameter_group_is_applied_once(recipe_file: Write) -> None:
    """The first step of SGD is the rate times the gradient; torchdistill scales the rate of a stage twice."""
    text = TINY.replace("    clip_norm: 1.0\n", "").replace(", momentum: 0.9", "")
    text = text.replace(
        "    schedule: {use: linear, warmup: 0.2}\n", "    groups: {fc: {lr: 0.025}, '*.bias': {lr: 0.5}}\n"
    )
    stage = stage_of(recipe_file(text))
    before = {name: p.detach().clone() for name, p in stage.objective.student.named_parameters()}
    stage.objective(batch_of(stage), {})["total"].backward()
    stage.optimizer.step()
    for name, p in stage.objective.student.named_parameters():
        rate = 0.5 if name.endswith(".bias") else 0.025 if name.startswith("fc.") else 0.1
        assert p.grad is not None
        expected = before[name] - rate * p.grad
        allowed = rounding_tolerance(torch.float32, 2, float(expected.abs().max()))
        torch.testing.assert_close(p.detach(), expected, rtol=0, atol=allowed)
    assert sorted({group["lr"] for group in stage.optimizer.param_groups}) == [0.025, 0.1, 0.5]


def rates(zoo: Zoo, path: Path) -> list[float]:
    completed = zoo("train", path, "--out", "rates")
    assert completed.code == 0, completed.err
    return [json.loads(line)["rate"] for line in Path("rates/log.jsonl").read_text().splitlines()]


SCHEDULES = [
    ("{use: multistep, milestones: [0.5]}", "epoch", lambda step: 0.1 if step < 15 else 0.01),
    ("{use: linear}", "step", lambda step: 0.1 * (1 - step / 30)),
    (
        "{use: torch.optim.lr_scheduler.SequentialLR, milestones: [1], schedulers: ["
        "{use: torch.optim.lr_scheduler.ConstantLR, factor: 0.5, total_iters: 99},"
        "{use: torch.optim.lr_scheduler.ExponentialLR, gamma: 0.5}]}",
        "epoch", lambda step: 0.05 if step < 15 else 0.1,
    ),
    (
        "{use: transformers.get_linear_schedule_with_warmup, num_warmup_steps: 0}",
        "step", lambda step: 0.1 * (1 - step / 30),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("use", "per", "expected"), SCHEDULES, ids=[use.split(",")[0] for use, *_ in SCHEDULES])
def test_a_schedule_advances_per_step_or_per_epoch(
    use: str, per: str, expected: object, zoo: Zoo, recipe_file: Write
) -> None:
    text = TINY.replace("epochs: 1", "epochs: 2").replace(
        "{use: linear, warmup: 0.2}", f"{use}\n    schedule_per: {per}"
    )
    assert callable(expected)
    assert rates(zoo, recipe_file(text)) == pytest.approx([expected(step) for step in range(30)])


def test_a_schedule_is_never_evaluated_after_the_last_step(user_folder: Path, zoo: Zoo) -> None:
    (user_folder / "mine.py").write_text(
        USER_MODULE + "\ndef steep(progress, steps):\n    return 1 / (1 - progress) / steps\n"
    )
    text = PERCEPTRON.replace("    criterion", "    schedule: mine.steep\n    criterion")
    (user_folder / "own.yaml").write_text(text)
    completed = zoo("train", "own.yaml", "--trust", "mine", "--device", device(), "--out", "run")
    assert completed.code == 0, completed.err


@given(step=st.integers(0, 99), warmup=st.floats(0, 0.9))
def test_schedules_warm_up_to_one_and_decay(step: int, warmup: float) -> None:
    progress = step / 100
    for schedule in (schedules.constant, schedules.linear, schedules.cosine):
        factor = schedule(progress, 100, warmup=warmup)
        assert 0 < factor <= 1 + 1e-12
    if progress >= warmup:
        left = (1 - progress) / (1 - warmup)
        assert schedules.linear(progress, 100, warmup=warmup) == pytest.approx(left)
        expected = 0.5 * (1 + math.cos(math.pi * (1 - left)))
        assert schedules.cosine(progress, 100, warmup=warmup) == pytest.approx(expected)


def test_multistep_decays_at_its_milestones() -> None:
    factors = [schedules.multistep(p, 4, milestones=[0.5, 0.75]) for p in (0, 0.25, 0.5, 0.75)]
    assert factors == pytest.approx([1, 1, 0.1, 0.01])
