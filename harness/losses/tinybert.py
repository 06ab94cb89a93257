"""Distillation of attention and hidden states (TinyBERT)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import ATTENTION_MASK, adapter_for, attention_scores, feature_pairs, split_heads
from harness.models.outputs import ModelOutputs


class TinyBERT(Loss):
    """Mean squared errors of the attention scores and of the hidden states of transformers.

    `sum_j mean (A_s - A_t)^2 + sum_k mean (H_s W_k - H_t)^2`

    `A = Q K^T / sqrt(d)`, `(B, H, T, T)`, are attention scores before the softmax; scores of padding count as 0. H are
    hidden states or embeddings `(B, T, D)`. W is a learned linear layer where widths differ. Both models read the same
    tokens and have the same number of heads. The paper's last term, on the logits, is `KL`.

    The means are over positions that are not padding; the authors' code counts padding too.

    Paper:
        Jiao et al., TinyBERT: Distilling BERT for Natural Language Understanding, Findings of EMNLP 2020.

    Args:
        student_layers: Paths of the student's attention blocks, whose `query` and `key` are read.
        teacher_layers: Paths of the teacher's attention blocks, in the same order.
        student: Feature paths of the student's hidden states.
        teacher: Feature paths of the teacher's hidden states, in the same order.
        heads: Number of attention heads.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(
        self,
        *,
        student_layers: Sequence[str],
        teacher_layers: Sequence[str],
        student: Sequence[str],
        teacher: Sequence[str],
        heads: int,
    ) -> None:
        super().__init__()
        feature_pairs(student_layers, teacher_layers)
        self.hidden = list(zip(*feature_pairs(student, teacher), strict=True))
        self.attention = list(zip(student_layers, teacher_layers, strict=True))
        self.heads = heads
        self.student_features = (ATTENTION_MASK, *_projections(student_layers), *student)
        self.teacher_features = (*_projections(teacher_layers), *teacher)
        self.adapters = nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create a linear layer for each pair of hidden states whose widths differ."""
        for student_path, teacher_path in self.hidden:
            self.adapters.append(adapter_for(student[student_path], teacher[teacher_path]))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        mask = student[ATTENTION_MASK].bool()
        token_pairs = (mask[:, None, :] & mask[:, :, None]).unsqueeze(1)
        losses = []
        for student_layer, teacher_layer in self.attention:
            difference = self._scores(student, student_layer) - self._scores(teacher, teacher_layer)
            losses.append((difference.square() * token_pairs).sum() / (token_pairs.sum() * self.heads))
        for (student_path, teacher_path), adapter in zip(self.hidden, self.adapters, strict=True):
            difference = (adapter(student[student_path]) - teacher[teacher_path])[mask]
            losses.append(difference.square().mean())
        return torch.stack(losses).sum()

    def _scores(self, outputs: ModelOutputs, layer: str) -> Tensor:
        query, key = (split_heads(outputs[f"{layer}.{name}"], self.heads) for name in ("query", "key"))
        return attention_scores(query, key)


def _projections(layers: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{layer}.{name}" for layer in layers for name in ("query", "key"))
