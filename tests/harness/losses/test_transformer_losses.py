"""Losses on the attention and hidden states of transformers against their equations, written out in float64."""

import math
from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.models.outputs import ModelOutputs
from tests.helpers.available_losses import losses

Floats = NDArray[np.float64]
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])
LENGTHS = (3, 2)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def projections(seed: int, width: int) -> dict[str, Tensor]:
    return {f"block.{name}": draw(2, 3, width, seed=seed + i) for i, name in enumerate(("query", "key", "value"))}


def unpadded_head(projection: Tensor, row: int, head: int) -> Floats:
    """Return one of two heads of a row, without padding."""
    width = projection.shape[-1] // 2
    actual: Floats = projection[row, : LENGTHS[row], head * width : (head + 1) * width].numpy()
    return actual


def softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def value(loss: nn.Module, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> float:
    """Build the adapters of a loss, and return its value in float64."""
    outputs = ModelOutputs(None, {**student, ":input.attention_mask": MASK}), ModelOutputs(None, teacher)
    loss.build_adapters(*outputs)
    loss.double()
    return float(loss(*outputs, torch.zeros(2)))


def test_patient_kd_compares_first_tokens_of_unit_length() -> None:
    s, t = draw(2, 3, 4), draw(2, 3, 4, seed=1)
    units = [x[:, 0] / x[:, 0].norm(dim=1, keepdim=True) for x in (s, t)]
    expected = (units[0] - units[1]).square().sum() / 2
    loss = losses.PatientKD(student=["h"], teacher=["h"])
    assert value(loss, {"h": s}, {"h": t}) == pytest.approx(expected.item())


def test_minilm_compares_attention_and_value_relations_without_padding() -> None:
    student, teacher = projections(0, 4), projections(10, 8)
    attention: list[float] = []
    relation: list[float] = []
    for row, head in product(range(2), range(2)):
        for names, divergences in ((("query", "key"), attention), (("value", "value"), relation)):
            scores = []
            for model in (teacher, student):
                a, b = (unpadded_head(model[f"block.{name}"], row, head) for name in names)
                scores.append(softmax(a @ b.T / math.sqrt(a.shape[1])))
            p, q = scores
            divergences.extend((p * np.log(p / q)).sum(-1).tolist())
    expected = np.mean(attention) + np.mean(relation)
    loss = losses.MiniLM(student="block", teacher="block", heads=2)
    assert value(loss, student, teacher) == pytest.approx(expected, rel=1e-9)


def test_tinybert_compares_attention_scores_and_hidden_states_without_padding() -> None:
    student, teacher = projections(0, 4), projections(10, 8)
    student |= {"h": draw(2, 3, 4, seed=20)}
    teacher |= {"h": draw(2, 3, 4, seed=21)}
    differences: list[float] = []
    for row, head in product(range(2), range(2)):
        scores = []
        for model in (student, teacher):
            q, k = (unpadded_head(model[f"block.{name}"], row, head) for name in ("query", "key"))
            scores.append(q @ k.T / math.sqrt(q.shape[1]))
        differences += (scores[0] - scores[1]).ravel().tolist()
    hidden = [(student["h"][row, :n] - teacher["h"][row, :n]).flatten() for row, n in enumerate(LENGTHS)]
    expected = np.mean(np.square(differences)) + torch.cat(hidden).square().mean().item()
    loss = losses.TinyBERT(student_layers=["block"], teacher_layers=["block"], student=["h"], teacher=["h"], heads=2)
    assert value(loss, student, teacher) == pytest.approx(expected, rel=1e-9)


def test_a_width_that_is_no_multiple_of_the_heads_is_an_error() -> None:
    loss = losses.MiniLM(student="block", teacher="block", heads=3)
    with pytest.raises(ValueError, match=r"3 heads do not divide \(T, D\) = \(3, 4\)"):
        value(loss, projections(0, 4), projections(0, 6))
