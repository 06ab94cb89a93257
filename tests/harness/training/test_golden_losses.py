"""The numbers of a training: golden losses, equal to a plain PyTorch loop, equal for equal seeds."""

import ast
import inspect
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.models.environment import deterministic
from harness.models.rounding import rounding_tolerance
from harness.training.checkpointing import rng_state, set_rng_state
from harness.training.train import train, train_stage
from tests.helpers.device import device
from tests.helpers.project import TINY, Write, Zoo
from tests.helpers.training import RECIPES, log_lines, logged_losses, training_of
from zoo.fetch import weights_file
from zoo.fetch.checksum import sha256
from zoo.fetch.sources import Sources
from zoo.models import cifar_resnet
from zoo.tasks import digits

GOLDEN = {
    "plain": {1: 2.32647, 10: 2.00777, 30: 1.48169},
    "hinted": {1: 40.534, 10: 33.1471, 30: 28.4818},
    "three_stages": {1: 2.47022, 15: 1.64863, 16: 20.2482, 72: 3.79776, 73: 1.12509, 90: 1.12013},
}
STEP_ROUNDING = rounding_tolerance(torch.float32, 4000)
"""How far rounding moves a loss in one step: the teacher and student of the digits add 3,950 products for one logit."""


@pytest.mark.cpu_only(reason="the losses were recorded on a CPU")
@pytest.mark.parametrize("name", GOLDEN)
def test_losses_equal_the_golden_ones(name: str, zoo: Zoo) -> None:
    """Recorded from these recipes with seed 0. A change of these losses changes what every recipe computes."""
    completed = zoo("train", RECIPES / f"{name}.yaml", "--out", "run", "--device", device())
    assert completed.code == 0, completed.err
    totals = logged_losses("run", "total")
    for step, expected in GOLDEN[name].items():
        assert totals[step - 1][0] == pytest.approx(expected, rel=step * STEP_ROUNDING), step


@deterministic()
def test_a_run_equals_a_loop_in_plain_pytorch(zoo: Zoo) -> None:
    """`hinted.yaml` in plain PyTorch: the same order of rows; parameters and losses equal up to rounding."""
    assert zoo("train", RECIPES / "hinted.yaml", "--seed", "7", "--out", "run", "--device", device()).code == 0
    torch.manual_seed(7)
    student = cifar_resnet(depth=8, width=4, in_channels=1)
    teacher = cifar_resnet(depth=14, width=16, in_channels=1)
    weights_file.load_into(teacher, Sources().fetch("embedded:digits-resnet14.safetensors").path)
    regressor = nn.Conv2d(8, 32, 1)
    for module in (student, teacher, regressor):
        module.to(device())
    optimizer = torch.optim.Adam(
        [{"params": student.parameters()}, {"params": regressor.parameters(), "lr": 1e-2}], lr=2e-3
    )
    split, features = digits().load("train"), {}
    for name, model in (("student", student), ("teacher", teacher.eval())):
        model.layer2.register_forward_hook(lambda _, __, output, name=name: features.__setitem__(name, output))
    expected = []
    for epoch in range(2):
        for rows in shuffled_batches(len(split), 64, 7, 0, epoch):
            batch = split.batch(rows, torch.device(device()))
            with torch.no_grad():
                t = teacher(batch.inputs)
            s = student(batch.inputs)
            kl = F.kl_div(F.log_softmax(s / 4, 1), F.log_softmax(t / 4, 1), reduction="batchmean", log_target=True)
            kd = 0.1 * F.cross_entropy(s, batch.labels) + 0.9 * 16 * kl
            hint = (regressor(features["student"]) - features["teacher"]).square().mean()
            expected.append([kd.item(), hint.item(), (kd + 10 * hint).item()])
            optimizer.zero_grad()
            (kd + 10 * hint).backward()
            optimizer.step()
    logged = logged_losses("run", "kd", "hint", "total")
    for step, (ours, theirs) in enumerate(zip(logged, expected, strict=True), start=1):
        assert ours == pytest.approx(theirs, rel=step * STEP_ROUNDING)
    trained = weights_file.read(Path("run/model.safetensors"))
    for name, value in student.state_dict().items():
        torch.testing.assert_close(trained[name], value.cpu(), rtol=step * STEP_ROUNDING, atol=step * STEP_ROUNDING)


def test_the_training_loop_is_one_function_of_at_most_thirty_lines() -> None:
    lines = inspect.getsource(train_stage).splitlines()
    assert len(lines) <= 30
    (function,) = ast.parse("\n".join(lines)).body
    assert isinstance(function, ast.FunctionDef)
    assert [type(node) for node in function.body][1:] == [ast.For]


def shuffled_batches(rows: int, batch_size: int, *key: int) -> list[list[int]]:
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed)).tolist()
    return [order[start : start + batch_size] for start in range(0, rows, batch_size)]


WITH_KD = TINY.replace("{loss: CrossEntropy}", "{loss: {use: KD, temperature: 4, alpha: 0.1}}").replace(
    "    criterion:",
    """\
    teacher:
      model: {use: cifar_resnet, depth: 14, width: 16, num_classes: 10, in_channels: 1}
      weights: embedded:digits-resnet14.safetensors
    criterion:""",
)


@pytest.mark.parametrize("text", [TINY, WITH_KD], ids=["plain", "distilled"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(text: str, zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(text)
    for out, seed in (("a", 5), ("b", 5), ("c", 6)):
        completed = zoo("train", path, "--seed", seed, "--out", out, "--device", device())
        assert completed.code == 0, completed.err
    a, b, c = (sha256(Path(out, "model.safetensors")) for out in "abc")
    assert a == b != c
    assert log_lines("a") == log_lines("b")


def test_a_run_inside_another_run_changes_neither(tmp_path: Path) -> None:
    """The second run is made between two steps of the first, in the same process."""
    names = ("hinted", "plain")
    alone = [train(training_of(RECIPES / f"{name}.yaml", tmp_path / name)).model for name in names]
    inner: list[nn.Module] = []

    def progress(done: int, total: int, note: str = "", seconds_left: float | None = None) -> None:
        if done == 10 and not inner:
            inner.append(train(training_of(RECIPES / "plain.yaml", tmp_path / "inner")).model)

    outer = replace(training_of(RECIPES / "hinted.yaml", tmp_path / "outer"), progress=progress)
    both = [train(outer).model, *inner]
    for before, after in zip(alone, both, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    assert log_lines(tmp_path / "hinted") == log_lines(tmp_path / "outer")


def test_generators_return_to_a_saved_state() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), torch.rand(1).item()  # noqa: S311

    state = rng_state()
    first = draw()
    assert draw() != first
    set_rng_state(state)
    assert draw() == first


def test_training_restores_the_global_switches_of_torch(zoo: Zoo, recipe_file: Write) -> None:
    zoo("train", recipe_file(), "--out", "out")
    assert not torch.are_deterministic_algorithms_enabled()
