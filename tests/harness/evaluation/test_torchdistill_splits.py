"""A hold-out has the rows of torchdistill's `split_dataset`, as its configurations that tune on CIFAR call it."""

import pytest
import torch
import torchvision.datasets  # noqa: F401 - torchdistill reads it from sys.modules
from torch.utils.data import TensorDataset

from harness.evaluation.holdout import held_out_rows, with_holdout
from tests.helpers.project import ROOT
from zoo.recipes.schema import Holdout
from zoo.tasks.base import Task
from zoo.tasks.splits import TensorSplit

util = pytest.importorskip("torchdistill.datasets.util")


def test_the_rows_have_the_content_of_the_parts_of_torchdistill() -> None:
    """Lengths 0.9 and 0.1 and the seed 42 are those of its configurations `*-hyperparameter_tuning.yaml` for CIFAR."""
    images, labels = torch.arange(50_000 * 3, dtype=torch.int32).reshape(50_000, 3), torch.arange(50_000) % 10
    parts = util.split_dataset(TensorDataset(images, labels), lengths=[0.9, 0.1], generator_seed=42)
    whole = Task(name="cifar", splits={"train": lambda: TensorSplit(images, labels)}, scored=(), metrics=())
    task = with_holdout(whole, Holdout(of="train", share=0.1, seed=42))
    for name, part in zip(("train", "validation"), parts, strict=True):
        rows = torch.tensor(sorted(part.indices))  # torchdistill shuffles both parts; ours keep the order of the data
        batch = task.load(name).batch(range(len(rows)))
        assert torch.equal(batch.inputs, images[rows])  # type: ignore[arg-type]
        assert torch.equal(batch.labels, labels[rows])
    assert [len(part) for part in parts] == [45_000, 5_000]


def test_parts_that_are_no_whole_numbers_differ_by_one_row() -> None:
    stay, held = held_out_rows(899, Holdout(of="train", share=0.1, seed=42))
    theirs = util.split_dataset(range(899), lengths=[0.9, 0.1], generator_seed=42)
    assert ([len(stay), len(held)], [len(part) for part in theirs]) == ([810, 89], [809, 90])
    assert set(held) < set(theirs[1].indices)


def test_recipes_for_cifar_train_on_all_rows_like_the_final_runs_of_torchdistill() -> None:
    recipes = [*ROOT.glob("configs/cifar10/*.yaml"), *ROOT.glob("configs/cifar100/*.yaml")]
    assert recipes
    assert not [path for path in recipes if "holdout" in path.read_text(encoding="utf-8")]
