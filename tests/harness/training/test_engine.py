"""The engine: golden losses, the same numbers as a loop written by hand, exact accumulation, clipping and precision."""

import ast
import inspect
import json
import math
import random
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.evaluation.batched_inference import in_order, map_batches
from harness.evaluation.evaluate import score
from harness.models.environment import accelerator_on
from harness.runs.experiment import RunContext, prepare
from harness.training import gradients
from harness.training import train as engine
from harness.training.checkpointing import CheckpointStore, rng_state, set_rng_state
from harness.training.log import TrainingLog
from harness.training.stage import ActiveStage
from harness.training.training_run import TrainingRun
from tests.helpers.project import ROOT, Zoo
from tests.helpers.user_module import USER_MODULE
from zoo.errors import UsageError
from zoo.fetch import weights_file
from zoo.fetch.checksum import sha256
from zoo.fetch.sources import Sources
from zoo.models import cifar_resnet
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.tasks import digits
from zoo.tasks.base import Batch, TensorSplit

RECIPES = ROOT / "tests" / "recipes"

PERCEPTRON = """\
name: perceptron
task: mine.some
model: {use: mine.perceptron, width: 24}
stages:
  - epochs: 2
    batch_size: 50
    optimizer: {use: SGD, lr: 0.5, momentum: 0.9}
    clip_norm: 0.5
    criterion:
      ce: {loss: CrossEntropy}
"""


def losses(folder: str, *terms: str) -> list[list[float]]:
    lines = [json.loads(line) for line in Path(folder, "log.jsonl").read_text().splitlines()]
    return [[line["losses"][term] for term in terms] for line in lines if "losses" in line]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of one's own beside the recipe, with a perceptron and an odd number of digits."""
    (tmp_path / "mine.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


GOLDEN = {
    "plain": {1: 2.32647, 10: 2.00777, 30: 1.48169},
    "hinted": {1: 40.534, 10: 33.1471, 30: 28.4818},
    "three_stages": {1: 2.47022, 15: 1.64863, 16: 20.2482, 72: 3.79776, 73: 1.12509, 90: 1.12013},
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_losses(name: str, zoo: Zoo) -> None:
    """Pinned from these recipes at seed 0: whatever changes them changes what every recipe means."""
    ended = zoo("train", RECIPES / f"{name}.yaml", "--out", "run", "--device", "cpu")
    assert ended.code == 0, ended.err
    found = losses("run", "total")
    assert {step: found[step - 1][0] for step in GOLDEN[name]} == pytest.approx(GOLDEN[name], rel=1e-3)


def test_a_run_is_what_a_loop_written_by_hand_gives(zoo: Zoo) -> None:
    """`hinted.yaml` in plain PyTorch: the same order of rows, the same parameters and losses but for rounding."""
    assert zoo("train", RECIPES / "hinted.yaml", "--seed", "7", "--out", "run", "--device", "cpu").code == 0
    torch.manual_seed(7)
    student = cifar_resnet(depth=8, width=4, in_channels=1)
    teacher = cifar_resnet(depth=14, width=16, in_channels=1)
    weights_file.load_into(teacher, Sources().fetch("embedded:digits-resnet14.safetensors").path)
    regressor = nn.Conv2d(8, 32, 1)
    optimizer = torch.optim.Adam(
        [{"params": student.parameters()}, {"params": regressor.parameters(), "lr": 1e-2}], lr=2e-3
    )
    split, seen = digits().load("train"), {}
    for name, model in (("student", student), ("teacher", teacher.eval())):
        model.layer2.register_forward_hook(lambda _, __, output, name=name: seen.__setitem__(name, output))
    expected = []
    for epoch in range(2):
        for rows in order_by_hand(len(split), 64, 7, 0, epoch):
            batch = split.batch(rows)
            with torch.no_grad():
                t = teacher(batch.inputs)
            s = student(batch.inputs)
            kl = F.kl_div(F.log_softmax(s / 4, 1), F.log_softmax(t / 4, 1), reduction="batchmean", log_target=True)
            kd = 0.1 * F.cross_entropy(s, batch.labels) + 0.9 * 16 * kl
            hint = (regressor(seen["student"]) - seen["teacher"]).square().mean()
            expected.append([kd.item(), hint.item(), (kd + 10 * hint).item()])
            optimizer.zero_grad()
            (kd + 10 * hint).backward()
            optimizer.step()
    for ours, theirs in zip(losses("run", "kd", "hint", "total"), expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
    trained = weights_file.read(Path("run/model.safetensors"))
    for name, value in student.state_dict().items():
        torch.testing.assert_close(trained[name], value, rtol=1e-3, atol=1e-4)


def order_by_hand(rows: int, batch_size: int, *key: int) -> list[list[int]]:
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed)).tolist()
    return [order[start : start + batch_size] for start in range(0, rows, batch_size)]


def test_the_loop_is_one_function_of_at_most_thirty_lines() -> None:
    source = textwrap.dedent(inspect.getsource(engine.train_stage))
    (function,) = ast.parse(source).body
    assert function.end_lineno is not None
    assert function.end_lineno <= 30
    assert [type(node) for node in function.body][1:] == [ast.For]


@pytest.mark.parametrize("size", [1, 7, 49, 50, 200])
def test_gradients_summed_over_parts_are_those_of_the_batch(size: int, mine: Path, zoo: Zoo) -> None:
    """301 rows in batches of 50: the last has one row, whose weight must not grow."""
    (mine / "perceptron.yaml").write_text(PERCEPTRON)
    command = ("train", "perceptron.yaml", "--trust", "mine", "--device", "cpu")
    assert zoo(*command, "--out", "whole").code == 0
    assert zoo(*command, "--micro-batch", size, "--out", "parts").code == 0
    whole, parts = (weights_file.read(Path(run, "model.safetensors")) for run in ("whole", "parts"))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=1e-6)
    assert losses("parts", "total") == [pytest.approx(line, abs=1e-6) for line in losses("whole", "total")]
    assert json.loads(Path("parts/record.json").read_text())["numerics"]["micro_batch"] == size


def run_of(path: Path, folder: Path) -> TrainingRun:
    """A run of a recipe file, seed 0, that a test may look into."""
    folder.mkdir(exist_ok=True)
    builder = Builder(frozenset({"mine"}))
    setup = RunContext(builder=builder, accelerator=accelerator_on("cpu"), runs=folder / "runs")
    return prepare(catalogue.local(path), setup).run(0, folder)


def test_clipping_is_of_true_gradients_whatever_the_scale(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaled by a power of two, as fp16 does, everything stays exact; clipped while scaled, all steps would differ."""
    (mine / "perceptron.yaml").write_text(PERCEPTRON)
    plain = engine.train(run_of(mine / "perceptron.yaml", mine / "plain"))
    build = ActiveStage.__init__

    def scaled(stage: ActiveStage, *args: object, **kwargs: object) -> None:
        build(stage, *args, **kwargs)
        stage.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)

    monkeypatch.setattr(ActiveStage, "__init__", scaled)
    other = engine.train(run_of(mine / "perceptron.yaml", mine / "scaled"))
    for ours, theirs in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_an_overflow_takes_no_step_and_leaves_the_schedule(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PERCEPTRON.replace("    clip_norm", "    schedule: {use: linear}\n    clip_norm")
    text = text.replace("{loss: CrossEntropy}", "{loss: CrossEntropy, weight: 8}")
    (mine / "perceptron.yaml").write_text(text)
    build = ActiveStage.__init__

    def scaled(stage: ActiveStage, *args: object, **kwargs: object) -> None:
        build(stage, *args, **kwargs)
        stage.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)

    monkeypatch.setattr(ActiveStage, "__init__", scaled)
    engine.train(run_of(mine / "perceptron.yaml", mine / "scaled"))
    rates = [json.loads(line)["rate"] for line in (mine / "scaled" / "log.jsonl").read_text().splitlines()]
    assert rates[0] == rates[1] == 0.5
    assert rates[-1] < 0.5


def test_a_loss_that_overflows_is_forgiven_only_while_the_scale_can_fall(tmp_path: Path) -> None:
    state: dict[str, object] = {}
    infinite = {"ce": torch.tensor(1.0), "total": torch.tensor(math.inf)}
    with TrainingLog(tmp_path / "log.jsonl", state, accelerator_on("cpu"), save_every=300) as log:
        log.write(infinite, 0.1, forgiven=True)
        with pytest.raises(UsageError, match="the loss is not finite at step 2: ce 1, total inf"):
            log.write(infinite, 0.1)
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": 1, "rate": 0.1, "losses": {"ce": 1.0, "total": None}}


def test_fp16_is_refused_on_the_cpu_with_the_reason(zoo: Zoo) -> None:
    ended = zoo("train", RECIPES / "plain.yaml", "--precision", "fp16", "--device", "cpu")
    assert (ended.code, len(ended.lines)) == (4, 1)
    assert "fp16 needs a CUDA device, not cpu" in ended.err
    assert "bf16" in ended.err


def test_bf16_trains_near_fp32_and_the_record_says_so(zoo: Zoo) -> None:
    for precision in ("fp32", "bf16"):
        ended = zoo("train", RECIPES / "hinted.yaml", "--precision", precision, "--out", precision, "--device", "cpu")
        assert ended.code == 0, ended.err
    assert json.loads(Path("bf16/record.json").read_text())["numerics"]["precision"] == "bf16"
    single, half = losses("fp32", "kd", "hint"), losses("bf16", "kd", "hint")
    assert single[0] != half[0]
    assert half[0] == pytest.approx(single[0], rel=0.02)
    assert {value.dtype for value in weights_file.read(Path("bf16/model.safetensors")).values()} <= {
        torch.float32, torch.int64,
    }  # fmt: skip


SMALL_MEMORY = """
class Small(nn.Sequential):
    def forward(self, x):
        if self.training and len(x) > 20:
            raise RuntimeError("CUDA out of memory. Tried to allocate a lot.")
        return super().forward(x)

def small(*, batchnorm: bool = False) -> nn.Module:
    middle = nn.BatchNorm1d(24) if batchnorm else nn.Tanh()
    return Small(nn.Flatten(), nn.Linear(64, 24), middle, nn.Linear(24, 10))
"""


def test_out_of_memory_halves_the_micro_batch_at_the_same_mathematics_and_says_so(mine: Path, zoo: Zoo) -> None:
    (mine / "mine.py").write_text(USER_MODULE + SMALL_MEMORY)
    (mine / "small.yaml").write_text(PERCEPTRON.replace("{use: mine.perceptron, width: 24}", "mine.small"))
    (mine / "large.yaml").write_text(PERCEPTRON)
    command = ("--trust", "mine", "--device", "cpu", "--out")
    ended = zoo("train", "small.yaml", *command, "small")
    assert ended.code == 0, ended.err
    assert ended.lines == [
        "out of memory with 50 examples at once: from here on 25, at the same batch size",
        "out of memory with 25 examples at once: from here on 12, at the same batch size",
    ]
    assert zoo("train", "large.yaml", *command, "large").code == 0
    small, large = (weights_file.read(Path(run, "model.safetensors")) for run in ("small", "large"))
    for name, value in large.items():
        torch.testing.assert_close(small[name], value, rtol=0, atol=1e-6)
    assert json.loads(Path("small/record.json").read_text())["environment"]["micro_batch"] == 12


def test_out_of_memory_is_told_where_halves_would_be_other_mathematics(mine: Path, zoo: Zoo) -> None:
    (mine / "mine.py").write_text(USER_MODULE + SMALL_MEMORY)
    text = PERCEPTRON.replace("{use: mine.perceptron, width: 24}", "{use: mine.small, batchnorm: true}")
    (mine / "small.yaml").write_text(text.replace("batch_size: 50", "batch_size: 43"))
    ended = zoo("train", "small.yaml", "--trust", "mine", "--device", "cpu")
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert "BatchNorm in training normalises by the batch it sees; --micro-batch 21" in ended.err
    assert zoo("train", "small.yaml", "--trust", "mine", "--device", "cpu", "--micro-batch", "21").code == 0


def test_evaluation_halves_too_where_memory_runs_out() -> None:
    accelerator, seen = accelerator_on("cpu"), []

    def forward(batch: Batch) -> Tensor:
        if len(batch.labels) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        seen.append(len(batch.labels))
        return batch.ids

    split = TensorSplit(torch.zeros(257, 1), torch.zeros(257, dtype=torch.int64))
    assert torch.equal(in_order(map_batches(split, forward, accelerator)), torch.arange(257))
    assert max(seen) <= 20


def test_parts_of_a_batch_are_even(mine: Path) -> None:
    """A part of one row would stop BatchNorm."""
    for rows, size in ((64, 21), (43, 21), (50, 49), (7, 7), (1, 4)):
        run = cast(
            "TrainingRun",
            SimpleNamespace(micro_batch=size, accelerator=SimpleNamespace(num_processes=1, process_index=0)),
        )
        parts = list(gradients._parts(list(range(rows)), run, None))
        assert [row for part, _ in parts for row in part] == list(range(rows))
        assert max(len(part) for part, _ in parts) <= size
        assert max(len(part) for part, _ in parts) - min(len(part) for part, _ in parts) <= 1
        assert sum(share for _, share in parts) == pytest.approx(1)


PAIRS = """
class Pairs(nn.Module):
    needs_whole_batch = True

    def forward(self, student, teacher, labels):
        return student.logits.T.cov().square().mean()
"""


def test_a_term_that_compares_rows_is_never_given_parts_of_a_batch(mine: Path, zoo: Zoo) -> None:
    (mine / "mine.py").write_text(USER_MODULE + SMALL_MEMORY + PAIRS)
    pairs = PERCEPTRON.replace("CrossEntropy", "mine.Pairs").replace("epochs: 2", "epochs: 1")
    (mine / "pairs.yaml").write_text(pairs.replace("batch_size: 50", "batch_size: 43"))
    command = ("train", "pairs.yaml", "--trust", "mine", "--device", "cpu")
    refused = zoo(*command, "--micro-batch", 20)
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert refused.err.startswith("pairs.yaml:10:18: ce compares the rows of a batch with each other")
    assert zoo(*command, "--micro-batch", 43).code == 0
    small = (mine / "pairs.yaml").read_text().replace("{use: mine.perceptron, width: 24}", "mine.small")
    (mine / "pairs.yaml").write_text(small)
    ended = zoo(*command)
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert "not halved: a term compares the rows of a batch" in ended.err


def test_states_of_which_none_can_be_read_are_not_taken_for_a_new_run(tmp_path: Path) -> None:
    (tmp_path / "state-1.pt").write_bytes(b"no state")
    with pytest.raises(UsageError, match="no saved state there can be read"):
        CheckpointStore(tmp_path).newest()


def test_a_score_is_a_plain_number_whatever_a_metric_returns(tmp_path: Path) -> None:
    """A number of numpy's in a state would keep the whole of it from being read again."""
    arrays = {"predictions": np.array([0, 1, 1]), "labels": np.array([0, 1, 0])}
    found = score("test", arrays, {"share": lambda predictions, labels: np.mean(predictions == labels)})
    CheckpointStore(tmp_path).save({"best": {"score": found.scores["share"].value}})
    newest = CheckpointStore(tmp_path).newest()
    assert newest is not None
    assert newest["best"]["score"] == pytest.approx(2 / 3)


def test_the_precision_is_the_commands_whatever_accelerate_is_told(mine: Path, zoo: Zoo, zoo_process: Zoo) -> None:
    (mine / "mine.py").write_text(USER_MODULE)
    (mine / "own.yaml").write_text(PERCEPTRON)
    command = ("train", str(mine / "own.yaml"), "--trust", "mine", "--device", "cpu", "--out")
    assert zoo_process(*command, str(mine / "a"), ACCELERATE_MIXED_PRECISION="bf16").code == 0
    assert zoo(*command, str(mine / "b")).code == 0
    assert (mine / "a" / "log.jsonl").read_bytes() == (mine / "b" / "log.jsonl").read_bytes()


def test_a_schedule_is_asked_only_for_what_is_still_to_come(mine: Path, zoo: Zoo) -> None:
    (mine / "mine.py").write_text(
        USER_MODULE + "\ndef steep(progress, steps):\n    return 1 / (1 - progress) / steps\n"
    )
    text = PERCEPTRON.replace("    criterion", "    schedule: mine.steep\n    criterion")
    (mine / "own.yaml").write_text(text)
    ended = zoo("train", "own.yaml", "--trust", "mine", "--device", "cpu", "--out", "run")
    assert ended.code == 0, ended.err


ADAPTED = """
class Projected(nn.Module):
    needs_teacher = True

    def build_adapters(self, student, teacher):
        self.projection = nn.Linear(student.logits.shape[1], teacher.logits.shape[1])

    def forward(self, student, teacher, labels):
        return (self.projection(student.logits) - teacher.logits).square().mean()

class Wrong(nn.Module):
    def forward(self, student, teacher, labels):
        return student.logitz.mean()

class Many(nn.Module):
    def forward(self, student, teacher, labels):
        return student.logits.mean(1)

class Plain:
    pass
"""


def test_adapters_need_no_taps_and_a_wrong_loss_is_told_by_its_term(mine: Path, zoo: Zoo) -> None:
    (mine / "mine.py").write_text(USER_MODULE + ADAPTED)
    command = ("--trust", "mine", "--device", "cpu")
    taught = PERCEPTRON.replace("    criterion", "    teacher: {entry: digits-resnet8}\n    criterion")
    (mine / "own.yaml").write_text(taught.replace("CrossEntropy", "mine.Projected"))
    ended = zoo("train", "own.yaml", *command, "--out", "run")
    assert ended.code == 0, ended.err
    for name, said in (
        ("Wrong", "the term 'ce': AttributeError: 'Observation' object has no attribute 'logitz'"),
        ("Many", "the term 'ce' returns a tensor (50,), not a scalar tensor"),
        ("Plain", "own.yaml:"),
    ):
        (mine / "own.yaml").write_text(PERCEPTRON.replace("CrossEntropy", f"mine.{name}"))
        ended = zoo("train", "own.yaml", *command)
        assert (ended.code, len(ended.lines)) == (2, 1), ended.err
        assert said in ended.err


def test_of_two_states_the_newest_that_can_be_read_is_taken(tmp_path: Path) -> None:
    states = CheckpointStore(tmp_path)
    assert states.newest() is None
    for step in range(3):
        states.save({"step": step, "value": torch.full((2,), step)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state-0.pt", "state-1.pt"]
    newest = CheckpointStore(tmp_path).newest()
    assert newest is not None
    assert newest["step"] == 2
    damaged = tmp_path / f"state-{newest['generation'] % 2}.pt"
    damaged.write_bytes(damaged.read_bytes()[:100])
    other = CheckpointStore(tmp_path)
    older = other.newest()
    assert older is not None
    assert older["step"] == 1
    other.save({"step": 9})
    found = CheckpointStore(tmp_path).newest()
    assert found is not None
    assert found["step"] == 9


def test_generators_go_back_to_where_they_were() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), torch.rand(1).item()  # noqa: S311

    state = rng_state()
    first = draw()
    assert draw() != first
    set_rng_state(state)
    assert draw() == first


def test_a_run_inside_another_run_changes_neither(tmp_path: Path) -> None:
    """Two runs alive in one process: the second is made between two steps of the first."""
    alone = [engine.train(run_of(RECIPES / f"{name}.yaml", tmp_path / name)) for name in ("hinted", "plain")]
    outer = run_of(RECIPES / "hinted.yaml", tmp_path / "outer")
    inside: list[nn.Module] = []

    def progress(done: int, total: int) -> None:
        if done == 10 and not inside:
            inside.append(engine.train(run_of(RECIPES / "plain.yaml", tmp_path / "inner")))

    outer.progress = progress
    both = [engine.train(outer), *inside]
    for before, after in zip(alone, both, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    assert sha256(tmp_path / "hinted" / "log.jsonl") == sha256(tmp_path / "outer" / "log.jsonl")
