"""TinyBERT."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.functional import MASK, fitted, paired, scores, split_heads
from harness.models.outputs import ModelOutputs


class TinyBERT(nn.Module):
    """`sum_j mean (A_s - A_t)^2 + sum_k mean (H_s W_k - H_t)^2`: attention scores and hidden states of transformers.

    `student_layers` and `teacher_layers` are paths of attention blocks in pairs, whose `query` and `key` are read; `A =
    Q K^T / sqrt(d)` `(B, H, T, T)` before the softmax, of equally many heads, 0 where it would look at padding.
    `student` and `teacher` are taps of hidden states or embeddings `(B, T, D)`; W is learned where widths differ. The
    paper's last term, on the logits, is `KL`. Means over what is not padding, where the authors' code
    counts it. Both models read the same tokens.

    Jiao et al., TinyBERT: Distilling BERT for Natural Language Understanding, Findings of EMNLP 2020.
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
        paired(student_layers, teacher_layers)
        self.hidden = list(zip(*paired(student, teacher), strict=True))
        self.attention = list(zip(student_layers, teacher_layers, strict=True))
        self.heads = heads
        self.student_features = (MASK, *_projections(student_layers), *student)
        self.teacher_features = (*_projections(teacher_layers), *teacher)
        self.adapters = nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the maps between widths."""
        for mine, theirs in self.hidden:
            self.adapters.append(fitted(student[mine], teacher[theirs]))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        mask = student[MASK].bool()
        both = (mask[:, None, :] & mask[:, :, None]).unsqueeze(1)
        losses = []
        for mine, theirs in self.attention:
            squared = (self._scores(student, mine) - self._scores(teacher, theirs)).square() * both
            losses.append(squared.sum() / (both.sum() * self.heads))
        for (mine, theirs), adapter in zip(self.hidden, self.adapters, strict=True):
            difference = (adapter(student[mine]) - teacher[theirs])[mask]
            losses.append(difference.square().mean())
        return torch.stack(losses).sum()

    def _scores(self, seen: ModelOutputs, layer: str) -> Tensor:
        query, key = (split_heads(seen[f"{layer}.{name}"], self.heads) for name in ("query", "key"))
        return scores(query, key)


def _projections(layers: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{layer}.{name}" for layer in layers for name in ("query", "key"))
