"""Deep self-attention distillation (MiniLM)."""

import torch
from torch import Tensor

from harness.losses.base import Loss
from harness.losses.functional import ATTENTION_MASK, attention_scores, kl_divergence, split_heads
from harness.models.outputs import ModelOutputs


class MiniLM(Loss):
    """Divergence of the attention and of the value relation of one transformer layer from the teacher's.

    `mean KL(A_t || A_s) + mean KL(R_t || R_s)`

    The means are over rows, heads and positions that are not padding. A is the attention `softmax(Q K^T / sqrt(d))`, R
    the value relation `softmax(V V^T / sqrt(d))`, both `(B, H, T, T)`. The paper takes the last layer. Both models read
    the same tokens and have the same number of heads; their widths may differ.

    Paper:
        Wang et al., MiniLM: Deep Self-Attention Distillation, NeurIPS 2020, equations 5 to 9.

    Args:
        student: Path of the student's attention block, whose `query`, `key` and `value` are read.
        teacher: Path of the teacher's attention block.
        heads: H.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(self, *, student: str, teacher: str, heads: int) -> None:
        super().__init__()
        self.layers, self.heads = (student, teacher), heads
        names = ("query", "key", "value")
        self.student_features = (ATTENTION_MASK, *(f"{student}.{name}" for name in names))
        self.teacher_features = tuple(f"{teacher}.{name}" for name in names)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        mask = student[ATTENTION_MASK].bool()
        student_relations, teacher_relations = (
            self._relations(outputs, layer, mask)
            for outputs, layer in zip((student, teacher), self.layers, strict=True)
        )
        is_token = mask.unsqueeze(1).expand(-1, self.heads, -1)
        pairs = zip(student_relations, teacher_relations, strict=True)
        return torch.stack([kl_divergence(s, t)[is_token].mean() for s, t in pairs]).sum()

    def _relations(self, outputs: ModelOutputs, layer: str, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of attention and of the value relation; padding is far below all other scores."""
        query, key, value = (split_heads(outputs[f"{layer}.{name}"], self.heads) for name in ("query", "key", "value"))
        padding = ~mask[:, None, None, :]
        attention, relation = (
            attention_scores(left, right).masked_fill(padding, -1e4) for left, right in ((query, key), (value, value))
        )
        return attention, relation
