"""SPKD."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.functional import paired, unit
from harness.models.outputs import ModelOutputs


class SPKD(nn.Module):
    """`1/B^2 sum_j |G_j(t) - G_j(s)|_F^2`, G the `(B, B)` products of flattened features, each row of unit L2 norm.

    `student` and `teacher` are lists of taps `(B, ...)`, whose other sizes may differ.

    Tung and Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019, equations 1 to 4.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str]) -> None:
        super().__init__()
        self.student_features, self.teacher_features = paired(student, teacher)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        pairs = zip(self.student_features, self.teacher_features, strict=True)
        losses = [
            (_similarities(student[mine]) - _similarities(teacher[theirs])).square().mean() for mine, theirs in pairs
        ]
        return torch.stack(losses).sum()


def _similarities(features: Tensor) -> Tensor:
    flat = features.flatten(1)
    return unit(flat @ flat.T)
