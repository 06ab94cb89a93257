"""Steps whose losses are read in blocks give the same training as steps whose losses are read one by one."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.training import step_blocks as blocks
from harness.training.log import BlockLosses, TrainingLog
from harness.training.stage import ActiveStage, build_stage
from harness.training.step_blocks import step_blocks
from harness.training.train import accumulate_gradients, enter_stage, train
from harness.training.training_run import TrainedStudent, TrainingRun
from tests.helpers.training import PERCEPTRON, log_lines, training_of
from zoo.errors import Terminated

MODELS = """
import torch
from torch import nn
from tests.helpers.user_module import USER_MODULE
exec(USER_MODULE)

def dropping() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 24), nn.BatchNorm1d(24), nn.Dropout(0.3), nn.ReLU(), nn.Linear(24, 10)
    )

class NotFinite(nn.Module):
    calls = 0

    def forward(self, student, teacher, labels):
        NotFinite.calls += 1
        return student.logits.square().mean() * (float("nan") if torch.rand(()) < 0.08 else 1)

class Centered(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("center", torch.zeros(10))

    def forward(self, student, teacher, labels):
        self.center = 0.9 * self.center + 0.1 * student.logits.detach().mean(0)  # another tensor in each step
        return nn.functional.cross_entropy(student.logits - self.center, labels)
"""
RECIPE = (
    PERCEPTRON.replace("{use: mine.perceptron, width: 24}", "mine.dropping")
    .replace("batch_size: 50", "batch_size: 24\n    drop_last: true\n    schedule: {use: linear}")
    .replace("lr: 0.5", "lr: 0.1")
)
STEPS = 24


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[range]]:
    """Let the next trainings have blocks of up to so many steps, returned as they come; before, blocks have one."""

    def use(most: int) -> list[range]:
        taken: list[range] = []

        def recorded(*args: Any, **kwargs: Any) -> Any:
            for block in step_blocks(*args, **kwargs):
                yield block
                taken.append(block.steps if block.taken else range(0))

        set_most_steps(monkeypatch, most)
        monkeypatch.setattr("harness.training.train.step_blocks", recorded)
        return taken

    set_most_steps(monkeypatch, 1)
    monkeypatch.setattr(blocks, "SECONDS", 300.0)  # a busy machine must not shorten the blocks
    return use


def set_most_steps(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    for device in ("cpu", "cuda"):
        monkeypatch.setitem(blocks.MOST_STEPS, device, most)


def scaled(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Let every stage scale its loss, as in fp16 on a CUDA device."""

    def enter(*args: Any) -> ActiveStage:
        stage = enter_stage(*args)
        device = next(stage.objective.parameters()).device
        stage.scaler = torch.amp.GradScaler(device.type, **settings)
        return stage

    monkeypatch.setattr("harness.training.train.enter_stage", enter)


def trained(folder: Path, out: str, text: str = RECIPE) -> tuple[TrainedStudent, list[dict[str, Any]]]:
    (folder / "mine.py").write_text(MODELS)
    (folder / "mine.yaml").write_text(text)
    student = train(training_of(folder / "mine.yaml", folder / out, trust=["mine"]))
    return student, log_lines(folder / out)


def check_equal(ours: nn.Module, theirs: nn.Module) -> None:
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


def test_blocks_give_the_same_log_and_parameters(user_folder: Path, in_blocks: Callable[[int], list[range]]) -> None:
    text = RECIPE.replace("SGD", "Adam").replace(", momentum: 0.9", "")
    single, lines = trained(user_folder, "single", text)
    taken = in_blocks(50)
    student, in_blocks_lines = trained(user_folder, "blocks", text)
    assert in_blocks_lines == lines
    check_equal(student.model, single.model)
    assert [step for block in taken for step in block] == list(range(STEPS))
    assert [len(block) for block in taken] == [1, 2, 4, 5, 12]


@pytest.mark.parametrize("loss", ["CrossEntropy", "mine.Centered"])
def test_a_skipped_step_in_a_block_does_not_advance_the_schedule(
    loss: str, user_folder: Path, in_blocks: Callable[[int], list[range]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scale overflows at once, grows every fourth step, and overflows again."""
    text = RECIPE.replace("{loss: CrossEntropy}", f"{{loss: {loss}, weight: 8}}")
    scaled(monkeypatch, init_scale=2.0**127, growth_interval=4, growth_factor=4.0)
    single, lines = trained(user_folder, "single", text)
    assert len({line["rate"] for line in lines}) < STEPS - 2
    taken = in_blocks(50)
    student, in_blocks_lines = trained(user_folder, "blocks", text)
    assert range(0) in taken
    assert in_blocks_lines == lines
    check_equal(student.model, single.model)


def test_a_training_in_blocks_ends_at_the_step_whose_loss_is_not_finite(
    user_folder: Path, in_blocks: Callable[[int], list[range]]
) -> None:
    text = RECIPE.replace("{loss: CrossEntropy}", "{loss: mine.NotFinite}")
    single, lines = trained(user_folder, "single", text)
    assert 4 < len(lines) < STEPS - 1
    taken = in_blocks(50)
    student, in_blocks_lines = trained(user_folder, "blocks", text)
    assert range(0) in taken
    assert (
        student.failure == single.failure == f"the loss is not finite at step {len(lines) + 1}: ce nan, total nan; "
        "try a lower learning rate"
    )
    assert in_blocks_lines == lines
    check_equal(student.model, single.model)


def test_a_training_that_is_stopped_and_killed_within_blocks_ends_with_the_same_bits(
    user_folder: Path, in_blocks: Callable[[int], list[range]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, lines = trained(user_folder, "whole")
    in_blocks(50)
    calls, read = count(1), TrainingLog.read

    def interrupted(run: TrainingRun, stage: ActiveStage, rows: list[int]) -> dict[str, Tensor]:
        call = next(calls)
        if call == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        if call == 11:
            raise SystemExit
        return accumulate_gradients(run, stage, rows)

    monkeypatch.setattr("harness.training.train.accumulate_gradients", interrupted)
    with pytest.raises(Terminated):
        trained(user_folder, "blocks")
    assert next(calls) == 6, "the block of steps 4 to 7 ends with the step in which the signal arrived"
    monkeypatch.setattr(TrainingLog, "read", lambda *args, **kwargs: replace(read(*args, **kwargs), due=True))
    with pytest.raises(SystemExit):
        trained(user_folder, "blocks")
    student, resumed_lines = trained(user_folder, "blocks")
    assert next(calls) == 12 + STEPS - 8, "checkpoints were saved after steps 5, 6 and 8, the step 9 is taken again"
    assert resumed_lines == lines
    check_equal(student.model, whole.model)


def test_the_length_of_a_block_follows_from_the_time_of_the_block_before(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user_folder / "mine.yaml").write_text(PERCEPTRON.replace("batch_size: 50", "batch_size: 1"))
    run = training_of(user_folder / "mine.yaml", user_folder / "run", trust=["mine"])
    stage = build_stage(run, 0, run.builder.instance(run.recipe.model, "model", nn.Module))
    set_most_steps(monkeypatch, 50)

    def with_save_every(run: TrainingRun, seconds: float) -> TrainingRun:
        return replace(run, options=replace(run.options, save_every=seconds))

    def lengths(seconds_per_step: float, *, save_every: float = 300) -> list[int]:
        found = []
        for block in step_blocks(with_save_every(run, save_every), stage, 0):
            found.append(len(block.steps))
            values = ({"total": 1.0},) * len(block.steps)
            block.accept(BlockLosses(values=values, due=False, stop=False, seconds=seconds_per_step * len(block.steps)))
            if len(found) == 9:
                return found
        raise AssertionError

    assert lengths(1e-3) == [1, 2, 4, 8, 16, 32, 50, 50, 50]
    assert lengths(0.1) == [1, 2, 4, 8, 10, 10, 10, 10, 10]
    assert lengths(1e-3, save_every=0.005) == [1, 2, 4, 5, 5, 5, 5, 5, 5]
    assert lengths(3) == lengths(1e-3, save_every=0) == [1] * 9
    for memory in ("total_memory", "spare_memory"):
        with monkeypatch.context() as patch:
            patch.setattr(blocks, memory, lambda device: 1000)
            assert lengths(1e-3) == [1] * 9, "a snapshot of the model needs too much memory"
    monkeypatch.setattr(blocks, "Snapshot", out_of_memory)
    assert lengths(1e-3) == [1] * 9


def out_of_memory(*args: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory.")
