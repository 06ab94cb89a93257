"""A toy loss, model and task, each in one file; inside the project also a name in an `__init__`."""

import hashlib
import importlib
import json
import sys
from pathlib import Path

import pytest

from tests.helpers.device import device
from tests.helpers.project import TINY, Write, Zoo

LOSS = '''"""Brier score."""
from torch import Tensor
from torch.nn import functional as F
from harness.losses.base import Loss
from harness.models.outputs import ModelOutputs

class Brier(Loss):
    """`1/B sum_i |softmax(s_i) - onehot(y_i)|^2`."""

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        p = student.logits.softmax(-1)
        return (p - F.one_hot(labels, p.shape[-1])).square().sum(-1).mean()
'''
MODEL = '''"""One linear layer."""
from torch import nn

def linear(*, features: int, classes: int) -> nn.Module:
    return nn.Linear(features, classes)
'''
TASK = '''"""Which of two numbers is larger."""
import torch
from zoo.tasks.base import Task
from zoo.tasks.splits import TensorSplit

def larger(*, rows: int = 200) -> Task:
    def split(seed: int) -> TensorSplit:
        numbers = torch.rand(rows, 2, generator=torch.Generator().manual_seed(seed))
        return TensorSplit(numbers, (numbers[:, 1] > numbers[:, 0]).long())

    return Task(
        name="larger", splits={"train": lambda: split(0), "test": lambda: split(1)}, scored=("test",),
        metrics=("accuracy", "f1"),
    )
'''
RECIPE = """\
name: toy
task: {task}
model: {{use: {model}, features: 2, classes: 2}}
stages:
  - epochs: 20
    batch_size: 10
    optimizer: {{use: SGD, lr: 1}}
    criterion: {{brier: {{loss: {loss}}}}}
"""
FILES = {"loss": ("brier", LOSS, "Brier"), "model": ("linear", MODEL, "linear"), "task": ("larger", TASK, "larger")}


def test_a_users_own_parts_are_one_file_each_and_trusted_by_name(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    uses = {}
    for kind, (_, text, name) in FILES.items():
        (tmp_path / f"my_{kind}.py").write_text(text)
        uses[kind] = f"my_{kind}.{name}"
    (tmp_path / "toy.yaml").write_text(RECIPE.format(**uses))
    refused = zoo("train", "toy.yaml")
    assert refused.code == 2
    assert len(refused.lines) == 3
    assert "--trust my_task allows them" in refused.err
    trust = [word for kind in FILES for word in ("--trust", f"my_{kind}")]
    completed = zoo("train", "toy.yaml", *trust, "--out", "run")
    assert completed.code == 0, completed.err
    assert float(completed.out.splitlines()[2].split()[2]) > 0.9
    assert "f1" in completed.out


def test_other_code_of_ones_own_is_another_run(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # compiled code of the same second and size would be used
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "toy.yaml").write_text(TINY.replace("loss: CrossEntropy", "loss: own_loss.Brier"))
    records = []
    for factor in (1, 1, 0):
        (tmp_path / "own_loss.py").write_text(LOSS.replace(".mean()", f".mean() * {factor}"))
        sys.modules.pop("own_loss", None)
        importlib.invalidate_caches()
        completed = zoo("train", "toy.yaml", "--trust", "own_loss", "--json")
        assert completed.code == 0, completed.err
        records.append(json.loads(completed.out))
    assert records[0]["record"] == records[1]["record"] != records[2]["record"]
    assert [record["existed"] for record in records] == [False, True, False]
    assert records[0]["results"] != records[2]["results"]


def test_parts_of_the_project_are_one_file_each_and_a_name_in_an_init(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contributor adds a file beside the others, and imports its name in their `__init__`."""
    packages = {"loss": "harness.losses", "model": "zoo.models", "task": "zoo.tasks"}
    for kind, (file, text, name) in FILES.items():
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f"{file}.py").write_text(text)
        package = importlib.import_module(packages[kind])
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / kind)])
        part = getattr(importlib.import_module(f"{packages[kind]}.{file}"), name)
        monkeypatch.setattr(package, name, part, raising=False)
        monkeypatch.setattr(package, "__all__", [*getattr(package, "__all__", ()), name], raising=False)
    (tmp_path / "toy.yaml").write_text(RECIPE.format(loss="Brier", model="linear", task="larger"))
    completed = zoo("train", "toy.yaml", "--out", "run")
    assert completed.code == 0, completed.err
    assert float(completed.out.splitlines()[2].split()[2]) > 0.9


THEIRS = '''"""Somebody's metric."""
import datasets
import evaluate

class Errors(evaluate.Metric):
    def _info(self):
        features = datasets.Features({name: datasets.Value("int64") for name in ("predictions", "references")})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references):
        return {"errors": sum(p != r for p, r in zip(predictions, references)) / len(references)}
'''


@pytest.mark.slow
def test_an_evaluate_metric_of_somebodys_is_one_of_a_recipe(
    zoo: Zoo, tmp_path: Path, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "theirs.py").write_text(THEIRS)
    recipe_file(TINY + "metrics: [accuracy, theirs.Errors]\n")
    completed = zoo("train", "tiny.yaml", "--trust", "theirs", "--out", "run", "--json")
    assert completed.code == 0, completed.err
    (result,) = json.loads(completed.out)["results"]
    assert result["metrics"]["Errors"] == pytest.approx(1 - result["metrics"]["accuracy"])
    record = json.loads(Path("run/record.json").read_text())
    source = THEIRS[THEIRS.index("class") :]
    assert record["metric_code"]["Errors"] == hashlib.sha256(source.encode()).hexdigest()


WRONG = '''"""Parts that return what they must not."""
import torch
from zoo.tasks.base import Task
from harness.losses.base import Loss

def three(*args):
    return 3

def lists():
    return Task(name="lists", splits={"train": list, "test": list}, scored=("test",), metrics=("accuracy",))

class Rows:
    def __len__(self):
        return 2

    def batch(self, indices, device):
        raise NotImplementedError

    def rows(self):
        return iter(["a", "b"])

def texts():
    return Task(name="texts", splits={"train": Rows, "test": Rows}, scored=("test",), metrics=("accuracy",))

class Bare(Rows):
    def batch(self, indices, device=None):
        return torch.zeros(len(indices), 2), torch.zeros(len(indices))

    def rows(self):
        return iter([b"a", b"b"])

def bare():
    return Task(name="bare", splits={"train": Bare, "test": Bare}, scored=("test",), metrics=("accuracy",))

class Forgetful(Loss):
    def prepare_split(self, split):
        split.labels
'''
DIGITS_MODEL = "model: {use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}"


@pytest.mark.parametrize(
    ("part", "wrong", "message"),
    [
        (DIGITS_MODEL, "model: wrong.three", "tiny.yaml:3:8: wrong.three must return a Module, not int"),
        ("task: digits", "task: wrong.three", "tiny.yaml:2:7: wrong.three must return a Task, not int"),
        ("task: digits", "task: wrong.lists", "lists: the split 'test' is a list, not a Split"),
        ("task: digits", "task: wrong.texts", "Rows.rows must yield bytes, not str"),
        ("task: digits", "task: wrong.bare", "Bare.batch returned a tuple; it must return a zoo.tasks.base.Batch"),
        ("loss: CrossEntropy", "loss: wrong.three", "wrong.three must return a Module, not int"),
        ("loss: CrossEntropy", "loss: wrong.Forgetful", "ce returns no rows from `prepare_split`"),
        ("{use: SGD, lr: 0.1, momentum: 0.9}", "wrong.three", "wrong.three must return a Optimizer, not int"),
    ],
)
def test_a_users_part_that_returns_a_wrong_value_is_no_bug_of_zoo(
    zoo: Zoo, tmp_path: Path, recipe_file: Write, monkeypatch: pytest.MonkeyPatch, part: str, wrong: str, message: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "wrong.py").write_text(WRONG)
    recipe_file(TINY, (part, wrong))
    ended = zoo("train", "tiny.yaml", "--trust", "wrong", "--device", device())
    assert ended.code == 2
    assert message in ended.err
