"""Precision: clipping and overflow under loss scaling, bf16, fp16."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.models.environment import accelerator_on
from harness.models.rounding import rounding_tolerance
from harness.training.log import TrainingLog
from harness.training.stage import ActiveStage
from harness.training.train import enter_stage, train
from tests.helpers.device import device
from tests.helpers.project import Zoo
from tests.helpers.training import PERCEPTRON, RECIPES, log_lines, logged_losses, training_of
from zoo.errors import UsageError
from zoo.fetch import weights_file


def start_with_scale(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """Let every stage scale its loss, as in fp16 on a CUDA device."""

    def enter(*args: Any) -> ActiveStage:
        stage = enter_stage(*args)
        stage.scaler = torch.amp.GradScaler(device(), init_scale=scale)
        return stage

    monkeypatch.setattr("harness.training.train.enter_stage", enter)


def test_clipping_uses_unscaled_gradients(user_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaling by a power of two is exact; if scaled gradients were clipped, all steps would differ."""
    (user_folder / "perceptron.yaml").write_text(PERCEPTRON)
    plain = train(training_of(user_folder / "perceptron.yaml", user_folder / "plain", trust=["mine"])).model
    start_with_scale(monkeypatch, 2.0**12)
    other = train(training_of(user_folder / "perceptron.yaml", user_folder / "scaled", trust=["mine"])).model
    for ours, theirs in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_a_step_that_overflows_is_skipped_and_does_not_advance_the_schedule(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PERCEPTRON.replace("    clip_norm", "    schedule: {use: linear}\n    clip_norm")
    text = text.replace("{loss: CrossEntropy}", "{loss: CrossEntropy, weight: 8}")
    (user_folder / "perceptron.yaml").write_text(text)
    start_with_scale(monkeypatch, 2.0**127)
    train(training_of(user_folder / "perceptron.yaml", user_folder / "scaled", trust=["mine"]))
    rates = [json.loads(line)["rate"] for line in (user_folder / "scaled" / "log.jsonl").read_text().splitlines()]
    assert rates[0] == rates[1] == 0.5
    assert rates[-1] < 0.5


def test_an_infinite_loss_is_an_error_unless_its_step_may_overflow(tmp_path: Path) -> None:
    infinite = {"ce": 1.0, "total": math.inf}
    with TrainingLog(tmp_path / "log.jsonl", {}, accelerator_on(device()), save_every=300) as log:
        log.write(infinite, {"rate": 0.1}, may_overflow=True)
        with pytest.raises(UsageError, match="the loss is not finite at step 2: ce 1, total inf"):
            log.write(infinite, {"rate": 0.1})
    assert log_lines(tmp_path) == [{"step": 1, "rate": 0.1, "losses": {"ce": 1.0, "total": None}}]


@pytest.mark.cpu_only(reason="a CUDA device can train in fp16")
def test_fp16_on_the_cpu_is_an_error_with_the_reason(zoo: Zoo) -> None:
    completed = zoo("train", RECIPES / "plain.yaml", "--precision", "fp16", "--device", device())
    assert (completed.code, len(completed.lines)) == (4, 1)
    assert "fp16 needs a CUDA device, not cpu" in completed.err
    assert "bf16" in completed.err


def test_bf16_trains_close_to_fp32_and_the_record_names_it(zoo: Zoo) -> None:
    for precision in ("fp32", "bf16"):
        completed = zoo(
            "train", RECIPES / "hinted.yaml", "--precision", precision, "--out", precision, "--device", device()
        )
        assert completed.code == 0, completed.err
    assert json.loads(Path("bf16/record.json").read_text())["numerics"]["precision"] == "bf16"
    single, half = logged_losses("fp32", "kd", "hint"), logged_losses("bf16", "kd", "hint")
    assert single[0] != half[0]
    layers_of_both = 26
    assert half[0] == pytest.approx(single[0], rel=rounding_tolerance(torch.bfloat16, layers_of_both))
    assert {value.dtype for value in weights_file.read(Path("bf16/model.safetensors")).values()} <= {
        torch.float32, torch.int64,
    }  # fmt: skip


@pytest.mark.slow
def test_accelerates_environment_variables_do_not_change_the_precision(
    user_folder: Path, zoo: Zoo, zoo_process: Zoo
) -> None:
    (user_folder / "own.yaml").write_text(PERCEPTRON)
    command = ("train", str(user_folder / "own.yaml"), "--trust", "mine", "--device", device(), "--out")
    assert zoo_process(*command, str(user_folder / "a"), ACCELERATE_MIXED_PRECISION="bf16").code == 0
    assert zoo(*command, str(user_folder / "b")).code == 0
    assert log_lines(user_folder / "a") == log_lines(user_folder / "b")
