"""Near-ties are counted, and an evaluation that a strict one does not confirm is replaced by the strict one."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.evaluation.evaluate import Evaluation, evaluate
from harness.evaluation.fast_path import SAMPLE, disagreements, near_ties, sample_rows
from harness.metrics import accuracy
from harness.models.environment import accelerator_on
from zoo.tasks.base import Task
from zoo.tasks.splits import TensorSplit

pytestmark = pytest.mark.cpu_only(reason="the fast path of a GPU is a small fake")


def test_a_near_tie_is_a_row_whose_prediction_noise_can_change() -> None:
    logits = torch.tensor([[0.0, 1.9e-4, -1.0], [0.0, 2.1e-4, -1.0], [5.0, 1.0, 5.0]])
    assert near_ties(logits, "classification", "fp32").tolist() == [True, False, True]
    assert near_ties(logits, "classification", "bf16").tolist() == [True, True, True]
    assert near_ties(logits, "multilabel", "fp32").tolist() == [True, True, False]
    assert near_ties(logits[:, :1], "regression", "fp32").tolist() == [False, False, False]


@pytest.mark.parametrize(
    ("kind", "fast", "strict", "expected"),
    [
        ("classification", [[0.0, 1e-4], [0.0, 1.0], [0.0, 1.0]], [[1e-4, 0.0], [1.0, 0.0], [0.0, 0.5]], 1),
        ("multilabel", [[5e-5, 1.0], [0.1, 1.0]], [[-5e-5, 1.0], [-0.1, 1.0]], 1),
        ("regression", [[0.1], [0.2]], [[0.10005], [0.2003]], 1),
        ("regression", [[math.nan], [math.nan]], [[0.1], [math.nan]], 1),
        ("multilabel", [[math.inf, 1.0], [1.0, math.nan]], [[9.0, 1.0], [1.0, -1.0]], 2),
    ],
)
def test_only_differences_beyond_noise_are_disagreements(kind: Any, fast: Any, strict: Any, expected: int) -> None:
    assert disagreements(torch.tensor(fast), torch.tensor(strict), kind, "fp32") == expected


@pytest.mark.parametrize(("rows", "close"), [(10, 3), (1000, 5), (5000, 2000), (400, 400)])
def test_the_sample_is_bounded_and_takes_near_ties_first(rows: int, close: int) -> None:
    ties = torch.arange(rows) % max(rows // close, 1) == 0
    chosen = sample_rows(ties)
    assert len(chosen) <= SAMPLE
    assert chosen == sorted(set(chosen))
    assert int(ties[chosen].sum()) == min(int(ties.sum()), SAMPLE // 2)


class DependsOnTheBatch(nn.Module):
    """Predicts class 0 in the batches of a strict evaluation, and class 1 in any other batch."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.tensor([[0.0, -1.0 if len(inputs) == 128 else 1.0]]).expand(len(inputs), -1)


def evaluated(model: nn.Module, inputs: Tensor, **options: Any) -> Evaluation:
    split = TensorSplit(inputs, torch.zeros(len(inputs), dtype=torch.int64))
    task = Task(name="t", splits={"test": lambda: split}, scored=("test",), metrics=("accuracy",))
    return evaluate(model, task, "test", {"accuracy": accuracy}, accelerator=accelerator_on("cpu"), **options)


@pytest.mark.parametrize(
    ("checks", "strict", "score", "inference"),
    [
        (False, False, 0.0, {"batch": {"rows": 128}, "near_ties": 0}),
        (False, True, 1.0, {"batch": {"rows": 128}, "near_ties": 0, "strict": True, "computed": 1.6}),
        (True, False, 1.0, {"batch": {"rows": 128}, "near_ties": 0, "strict": True, "computed": 1.6, "compared": 80,
                            "differing": 80}),
    ],
)  # fmt: skip
def test_a_fast_evaluation_that_changes_predictions_is_replaced_by_a_strict_one(
    checks: bool, strict: bool, score: float, inference: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.evaluation.split_runner.needs_check", lambda device: checks)
    scored = evaluated(DependsOnTheBatch(), torch.zeros(80, 2), strict=strict)
    assert (scored.values["accuracy"], scored.inference) == (score, inference)


def test_a_fast_evaluation_with_equal_predictions_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.evaluation.split_runner.needs_check", lambda device: True)
    inputs = torch.tensor([[1.0, 0.0], [0.0, 1e-5], [0.0, 2.0]])
    assert evaluated(nn.Identity(), inputs).inference == {
        "batch": {"rows": 128}, "near_ties": 1, "compared": 3, "differing": 0,
    }  # fmt: skip
    assert "compared" not in evaluated(nn.Identity(), inputs, learning=True).inference
