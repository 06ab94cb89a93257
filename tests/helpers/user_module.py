"""The text of a module that a user could have written: a task and models of their own."""

USER_MODULE = '''"""Digits, an odd number of them, and a perceptron without BatchNorm and dropout."""
import os
import torch
from torch import nn
from zoo.tasks import digits
from zoo.tasks.base import Task, TensorSplit

def some() -> Task:
    whole = digits()
    def part(name: str, rows: int) -> TensorSplit:
        split = whole.load(name)
        return TensorSplit(split.inputs[:rows], split.labels[:rows])
    return Task(
        name="some", splits={"train": lambda: part("train", 301), "test": lambda: part("test", 257)}, scored=("test",),
        metrics=("accuracy",), label_names=whole.label_names,
    )

class Mortal(nn.Flatten):
    """Kills the process DIE, RANK:CALL, at that forward of its training."""
    calls = 0

    def forward(self, x):
        Mortal.calls += self.training
        if os.environ.get("DIE") == f"{os.environ.get('RANK')}:{Mortal.calls}":
            os.kill(os.getpid(), 9)
        return super().forward(x)

class Noted(nn.Dropout):
    """Writes down one number of the generator in every step."""
    def forward(self, x):
        if self.training:
            with open(f"drawn-{os.environ.get('RANK', 'alone')}", "a") as file:
                file.write(f"{torch.rand(()).item()} ")
        return super().forward(x)

def dropping() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), Noted(0.5), nn.Linear(16, 10))

def perceptron(*, width: int) -> nn.Module:
    return nn.Sequential(Mortal(), nn.Linear(64, width), nn.Tanh(), nn.Linear(width, 10))
'''
