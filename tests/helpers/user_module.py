"""The text of a module that a user could have written, with a task and models."""

USER_MODULE = '''"""An odd number of digits, and a perceptron without BatchNorm and dropout."""
import os
import torch
from torch import nn
from zoo.tasks import digits
from zoo.tasks.base import Task
from zoo.tasks.splits import TensorSplit

def some() -> Task:
    whole = digits()
    def part(name: str, rows: int) -> TensorSplit:
        split = whole.load(name)
        return TensorSplit(split.inputs[:rows], split.labels[:rows])
    return Task(
        name="some", splits={"train": lambda: part("train", 301), "test": lambda: part("test", 257)}, scored=("test",),
        metrics=("accuracy",), label_names=whole.label_names,
    )

class Killing(nn.Flatten):
    """Kills the process in a forward pass of training: the variable DIE is RANK:CALL, with calls counted from 1."""
    calls = 0

    def forward(self, x):
        Killing.calls += self.training
        if os.environ.get("DIE") == f"{os.environ.get('RANK')}:{Killing.calls}":
            os.kill(os.getpid(), 9)
        return super().forward(x)

class RecordedDropout(nn.Dropout):
    """Writes a number that it draws from the generator to a file, in every step."""
    def forward(self, x):
        if self.training:
            with open(f"drawn-{os.environ.get('RANK', 'alone')}", "a") as file:
                file.write(f"{torch.rand(()).item()} ")
        return super().forward(x)

def dropping() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), RecordedDropout(0.5), nn.Linear(16, 10))

def perceptron(*, width: int) -> nn.Module:
    return nn.Sequential(Killing(), nn.Linear(64, width), nn.Tanh(), nn.Linear(width, 10))
'''
