"""Steps that are repeated as graphs give the bits of steps that are launched one by one, or are not used.

On a CPU a function that is called again stands for a graph.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from harness.models.environment import deterministic
from harness.training import cuda_graph, gradients, step_blocks
from harness.training.cuda_graph import SWITCH, is_capturable
from harness.training.snapshot import Snapshot
from harness.training.stage import ActiveStage, prepare_stage
from harness.training.step_graph import Capture, StepGraph
from harness.training.train import TrainedStudent, accumulate_gradients, train
from harness.training.training_run import TrainingRun
from tests.helpers.project import TINY
from tests.helpers.training import DISTILLED, PERCEPTRON, RECIPES, log_lines, training_of
from zoo.errors import Terminated
from zoo.recipes.claim import Precision

MODELS = """
from torch import nn
from tests.helpers.user_module import USER_MODULE
exec(USER_MODULE)

def dropping() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 24), nn.BatchNorm1d(24), nn.Dropout(0.3), nn.ReLU(), nn.Linear(24, 10)
    )
"""
RECIPE = (
    PERCEPTRON.replace("{use: mine.perceptron, width: 24}", "mine.dropping")
    .replace("batch_size: 50", "batch_size: 24\n    schedule: {use: cosine, warmup: 0.1}")
    .replace("epochs: 2", "epochs: 1")
)
"""Trains for 13 steps; the last one has a smaller batch."""
Trained = tuple[TrainedStudent, list[dict[str, Any]], list[str]]


@pytest.fixture
def trained(user_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trained]:
    """Train in a folder with this capture, in blocks as on a GPU; returns student, log and messages."""
    (user_folder / "mine.py").write_text(MODELS)
    monkeypatch.setenv(SWITCH, "1")
    monkeypatch.setattr(cuda_graph, "FEWEST_STEPS", 5)
    monkeypatch.setitem(step_blocks.MOST_STEPS, "cpu", 50)

    def run(out: str, capture: Capture, text: str = RECIPE) -> Trained:
        for device in ("cpu", "cuda"):
            monkeypatch.setitem(cuda_graph.CAPTURES, device, capture)
        (user_folder / "mine.yaml").write_text(text)
        messages: list[str] = []
        training = training_of(user_folder / "mine.yaml", user_folder / out, trust=["mine"])
        student = train(replace(training, report=messages.append))
        return student, log_lines(user_folder / out), messages

    return run


def fails(function: Callable[[], None]) -> Callable[[], None]:
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


def check_equal(ours: Trained, theirs: Trained) -> None:
    assert ours[1] == theirs[1]
    for name, value in theirs[0].model.state_dict().items():
        assert torch.equal(ours[0].model.state_dict()[name], value), name


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_replayed_steps_end_with_the_bits_of_steps_without_graphs(
    optimizer: str, trained: Callable[..., Trained]
) -> None:
    text = RECIPE if optimizer == "SGD" else RECIPE.replace("SGD, lr: 0.5, momentum: 0.9", "AdamW, lr: 0.01")
    replays = []

    def counted(function: Callable[[], None]) -> Callable[[], None]:
        return lambda: (replays.append(1), function())[1]  # type: ignore[func-returns-value]

    eager = trained("eager", fails, text)
    note = "perceptron: this stage runs without CUDA graphs: operation not permitted when stream is capturing"
    assert eager[2] == [note]
    replayed = trained("replayed", counted, text)
    check_equal(replayed, eager)
    assert replayed[2] == []
    assert len(replays) == 2 * (3 + 13 - 3 - 1), "3 trial steps; neither the first 3 steps nor the small batch"


def test_a_graph_with_other_results_is_not_used(trained: Callable[..., Trained]) -> None:
    def does_nothing(function: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def draws_more(function: Callable[[], None]) -> Callable[[], None]:
        return lambda: (function(), torch.rand(1))[0]  # type: ignore[func-returns-value]

    eager = trained("eager", fails)
    for name, capture in (("nothing", does_nothing), ("random", draws_more)):
        student = trained(name, capture)
        check_equal(student, eager)
        assert len(student[2]) == 1
        assert "this stage runs without CUDA graphs: " in student[2][0]


def test_a_training_with_graphs_that_is_stopped_resumes_to_the_same_bits(
    trained: Callable[..., Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = trained("whole", lambda function: function), count(1)

    def interrupted(run: TrainingRun, stage: ActiveStage, rows: list[int]) -> dict[str, Tensor]:
        if next(calls) == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return accumulate_gradients(run, stage, rows)

    monkeypatch.setattr("harness.training.train.accumulate_gradients", interrupted)
    with pytest.raises(Terminated):
        trained("stopped", lambda function: function)
    check_equal(trained("stopped", lambda function: function), whole)


def prepared(path: Path, **options: Any) -> tuple[TrainingRun, ActiveStage]:
    run = training_of(path, path.parent, trust=["mine"])
    run = replace(run, options=replace(run.options, **options))
    return run, prepare_stage(run, 0, run.builder.instance(run.recipe.model, "model", nn.Module))


def test_only_steps_that_a_graph_can_repeat_are_captured(user_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user_folder / "mine.py").write_text(MODELS)
    path = user_folder / "mine.yaml"
    path.write_text(TINY)
    run, stage = prepared(path)
    assert is_capturable(run, stage) is (run.device.type == "cuda")
    monkeypatch.setitem(cuda_graph.CAPTURES, "cpu", lambda function: function)
    assert is_capturable(run, stage)
    assert not is_capturable(replace(run, options=replace(run.options, micro_batch=8)), stage)
    assert not is_capturable(run, replace(stage, lengths=[1, 2]))
    hook = stage.objective.student.register_forward_hook(lambda *_: None)
    assert not is_capturable(run, stage)
    hook.remove()
    plain = torch.optim.SGD(stage.objective.parameters(), lr=0.1, foreach=True)
    assert not is_capturable(run, replace(stage, optimizer=plain))
    texts = {
        True: DISTILLED,
        False: TINY.replace("{use: SGD, lr: 0.1, momentum: 0.9}", "{use: RMSprop, lr: 0.1}"),
        None: PERCEPTRON,  # its first layer is the user's
    }
    for expected, text in texts.items():
        path.write_text(text)
        assert is_capturable(*prepared(path)) is bool(expected)


def test_a_trial_that_fails_within_the_step_of_the_optimizer_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    run, stage = prepared(path)
    stage.scaler = torch.amp.GradScaler(run.device.type, init_scale=8)
    gradients.accumulate_gradients(run, stage, stage.rows(0))
    before = Snapshot(stage, run.device)
    stage.scaler.unscale_(stage.optimizer)
    vars(stage.optimizer)["grad_scale"] = torch.tensor(8.0)  # GradScaler.step deletes it, unless an error is raised
    before.restore()
    assert "grad_scale" not in vars(stage.optimizer)
    gradients.accumulate_gradients(run, stage, stage.rows(0))
    stage.scaler.unscale_(stage.optimizer)


def test_a_graph_is_given_up_before_the_micro_batch_is_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    run, stage = prepared(path)
    stage.graph = cast(StepGraph, SimpleNamespace(fits=lambda batch: False))
    compute, calls = gradients._losses, count()

    def fails_at_first(*args: Any) -> dict[str, Tensor]:
        if next(calls) == 0:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return compute(*args)

    monkeypatch.setattr(gradients, "_losses", fails_at_first)
    gradients.accumulate_gradients(run, stage, stage.rows(0))
    assert (stage.graph, stage.micro_batch) == (None, None)


@pytest.mark.cuda
def test_random_numbers_and_memory_are_as_before_after_a_capture_that_failed() -> None:
    values, stream = torch.ones(8, device="cuda"), torch.cuda.current_stream()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            cuda_graph.capture_on_cuda(lambda: (torch.rand_like(values) + values).sum().item())  # type: ignore[arg-type,return-value]
        assert torch.cuda.current_stream() == stream
        torch.cuda.manual_seed(1)
        drawn = torch.rand(8, device="cuda")
        torch.cuda.manual_seed(1)
        assert torch.equal(torch.rand(8, device="cuda"), drawn)
    result = torch.empty(8, device="cuda")
    replay = cuda_graph.capture_on_cuda(lambda: result.copy_(torch.rand_like(values)))  # type: ignore[arg-type,return-value]
    torch.cuda.manual_seed(1)
    replay()
    assert torch.equal(result, drawn)


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("recipe", ["plain", "hinted"])
def test_cuda_graphs_end_with_the_bits_of_steps_without_graphs(
    recipe: str, precision: Precision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replays: list[int] = []

    def counted(function: Callable[[], None]) -> Callable[[], None]:
        replay = cuda_graph.capture_on_cuda(function)
        return lambda: (replays.append(1), replay())[1]  # type: ignore[func-returns-value]

    monkeypatch.setitem(cuda_graph.CAPTURES, "cuda", counted)
    path = tmp_path / f"{recipe}.yaml"
    path.write_text((RECIPES / path.name).read_text().replace("epochs: 2", "epochs: 8"))

    def trained_to(out: str) -> tuple[nn.Module, list[str]]:
        messages: list[str] = []
        run = training_of(path, tmp_path / out)
        run = replace(run, options=replace(run.options, precision=precision), report=messages.append)
        with deterministic():
            return train(run).model, messages

    monkeypatch.setenv(SWITCH, "1")
    replayed, messages = trained_to("replayed")
    assert messages == []
    assert len(replays) > 100, "most of the steps were graphs"
    monkeypatch.delenv(SWITCH)
    eager, _ = trained_to("eager")
    assert log_lines(tmp_path / "replayed") == log_lines(tmp_path / "eager")
    for name, value in eager.state_dict().items():
        assert torch.equal(replayed.state_dict()[name], value), name


@pytest.mark.cuda
def test_no_step_waits_for_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count()

    def checked(run: TrainingRun, stage: ActiveStage, rows: list[int]) -> dict[str, Tensor]:
        if next(calls) == 0:
            return accumulate_gradients(run, stage, rows)  # moves the data to the device
        with cuda_graph._without_waiting(run.device):
            return accumulate_gradients(run, stage, rows)

    monkeypatch.setattr("harness.training.train.accumulate_gradients", checked)
    assert not train(training_of(RECIPES / "plain.yaml", tmp_path / "run")).failure
