"""Attention transfer."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from harness.losses.base import Loss
from harness.losses.functional import check_choice, check_same_size, feature_pairs, safe_sqrt, unit_vectors
from harness.models.outputs import ModelOutputs


class AttentionTransfer(Loss):
    """Distance between the spatial attention maps of student and teacher.

    `sum_j 1/B sum_i |Q_s / |Q_s| - Q_t / |Q_t||_2`

    The sum is over pairs j of features `(B, C, H, W)`. Q is the sum over channels of the squares of a feature, as a
    vector over its HW pixels. The paper's factor beta / 2 is the weight of the term in the recipe.

    Paper:
        Zagoruyko and Komodakis, Paying More Attention to Attention, ICLR 2017, equation 2.

    Args:
        student: Feature paths of the student.
        teacher: Feature paths of the teacher, in the same order. Features of a pair have the same H and W; their
            channels may differ.
        form: `paper` for the equation above. `code` for the loss of the authors' code: the mean square of the
            difference over its HW numbers, about `1 / HW` of the square of the paper's loss.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(
        self, *, student: Sequence[str], teacher: Sequence[str], form: Literal["paper", "code"] = "paper"
    ) -> None:
        super().__init__()
        check_choice("form", form, ("paper", "code"))
        self.student_features, self.teacher_features = feature_pairs(student, teacher)
        self.form = form

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Check the shapes; raises ValueError for a pair of different sizes."""
        for student_path, teacher_path in zip(self.student_features, self.teacher_features, strict=True):
            check_same_size(student_path, student[student_path], teacher_path, teacher[teacher_path])

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        losses = []
        for student_path, teacher_path in zip(self.student_features, self.teacher_features, strict=True):
            squares = (attention(student[student_path]) - attention(teacher[teacher_path])).square()
            losses.append(squares.mean() if self.form == "code" else safe_sqrt(squares.sum(1)).mean())
        return torch.stack(losses).sum()


def attention(feature: Tensor) -> Tensor:
    """Return the attention map of a feature `(B, C, H, W)` as unit vectors `(B, HW)`."""
    return unit_vectors(feature.square().sum(1).flatten(1))
