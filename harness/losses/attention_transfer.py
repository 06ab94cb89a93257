"""Attention transfer."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from harness.losses.functional import check_choice, paired, root, same_size, unit
from harness.models.outputs import ModelOutputs


class AttentionTransfer(nn.Module):
    """`sum_j 1/B sum_i |Q_s / |Q_s| - Q_t / |Q_t||_2`, Q the sum over channels of the squares of a feature map.

    `student` and `teacher` are lists of taps `(B, C, H, W)`; those of a pair have one size, and any channels. With
    `form: code` it is what the authors' code computes, the mean square of that difference over its HW numbers; it is
    about `1 / HW` of the square of the paper's. The factor beta / 2 is the term's weight.

    Zagoruyko and Komodakis, Paying More Attention to Attention, ICLR 2017, equation 2.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(
        self, *, student: Sequence[str], teacher: Sequence[str], form: Literal["paper", "code"] = "paper"
    ) -> None:
        super().__init__()
        check_choice("form", form, ("paper", "code"))
        self.student_features, self.teacher_features = paired(student, teacher)
        self.form = form

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make nothing; raises ValueError for a pair of different sizes."""
        for mine, theirs in zip(self.student_features, self.teacher_features, strict=True):
            same_size(mine, student[mine], theirs, teacher[theirs])

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        losses = []
        for mine, theirs in zip(self.student_features, self.teacher_features, strict=True):
            squared = (attention(student[mine]) - attention(teacher[theirs])).square()
            losses.append(squared.mean() if self.form == "code" else root(squared.sum(1)).mean())
        return torch.stack(losses).sum()


def attention(feature: Tensor) -> Tensor:
    """The attention map of `(B, C, H, W)` as unit vectors `(B, HW)`."""
    return unit(feature.square().sum(1).flatten(1))
