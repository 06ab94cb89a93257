"""Fused optimizers take the same steps, and are used unless the recipe chooses otherwise."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.rounding import rounding_tolerance
from harness.runs.experiment import RunContext
from tests.helpers.small_texts import text_stage


@pytest.mark.parametrize("kind", ["AdamW", "SGD"])
def test_a_fused_optimizer_takes_the_same_steps(kind: str) -> None:
    def trained(fused: bool) -> list[Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 3))
        rate: dict[str, Any] = {"lr": 1e-2, "fused": fused}
        optimizer = getattr(torch.optim, kind)(model.parameters(), **rate)
        for _ in range(20):
            F.cross_entropy(model(torch.randn(16, 20)), torch.randint(3, (16,))).backward()
            optimizer.step()
            optimizer.zero_grad()
        return list(model.parameters())

    for fused, plain in zip(trained(True), trained(False), strict=True):
        torch.testing.assert_close(fused, plain, rtol=0, atol=20 * rounding_tolerance(torch.float32, 20 + 30 + 16))


OPTIMIZER = "optimizer: {use: AdamW, lr: 3e-3, weight_decay: 0.01}"


def test_recipes_train_with_fused_optimizers_by_default(context: RunContext, tmp_path: Path) -> None:
    stage, _ = text_stage(context, tmp_path)
    assert [group["fused"] for group in stage.optimizer.param_groups] == [True]


@pytest.mark.parametrize(
    "chosen",
    [
        "optimizer: {use: AdamW, lr: 3e-3, foreach: true}",
        "optimizer: {use: AdamW, lr: 3e-3, differentiable: true}",
        f"{OPTIMIZER}\n    groups: {{classifier: {{foreach: true}}}}",
    ],
    ids=["foreach", "differentiable", "foreach of a group"],
)
def test_an_optimizer_is_not_fused_if_the_recipe_chooses_its_kernels(
    chosen: str, context: RunContext, tmp_path: Path
) -> None:
    stage, _ = text_stage(context, tmp_path, replaced=(OPTIMIZER, chosen))
    assert not any(group["fused"] for group in stage.optimizer.param_groups)
