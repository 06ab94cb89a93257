"""MiniLM."""

import torch
from torch import Tensor, nn

from harness.losses.functional import MASK, divergence, scores, split_heads
from harness.models.outputs import ModelOutputs


class MiniLM(nn.Module):
    """`mean KL(A_t || A_s) + mean KL(R_t || R_s)` over rows, heads and positions that are not padding.

    A is the attention `softmax(Q K^T / sqrt(d))`, R the value relation `softmax(V V^T / sqrt(d))`, both `(B, H, T, T)`,
    of one layer, the last: `student` and `teacher` are paths of attention blocks whose `query`, `key` and `value` are
    read. Heads are equally many; widths may differ; both models read the same tokens.

    Wang et al., MiniLM: Deep Self-Attention Distillation, NeurIPS 2020, equations 5 to 9.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(self, *, student: str, teacher: str, heads: int) -> None:
        super().__init__()
        self.layers, self.heads = (student, teacher), heads
        names = ("query", "key", "value")
        self.student_features = (MASK, *(f"{student}.{name}" for name in names))
        self.teacher_features = tuple(f"{teacher}.{name}" for name in names)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        mask = student[MASK].bool()
        mine, theirs = (self._relations(*one, mask) for one in zip((student, teacher), self.layers, strict=True))
        read = mask.unsqueeze(1).expand(-1, self.heads, -1)
        return torch.stack([divergence(s, t)[read].mean() for s, t in zip(mine, theirs, strict=True)]).sum()

    def _relations(self, seen: ModelOutputs, layer: str, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The scores of attention and of the value relation, padding far below all others."""
        query, key, value = (split_heads(seen[f"{layer}.{name}"], self.heads) for name in ("query", "key", "value"))
        padding = ~mask[:, None, None, :]
        attention, relation = (
            scores(left, right).masked_fill(padding, -1e4) for left, right in ((query, key), (value, value))
        )
        return attention, relation
