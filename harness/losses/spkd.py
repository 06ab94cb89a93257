"""Similarity-preserving knowledge distillation (SPKD)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.losses.base import Loss
from harness.losses.functional import feature_pairs, unit_vectors
from harness.models.outputs import ModelOutputs


class SPKD(Loss):
    """Squared distance between the similarity matrices of the examples of a batch.

    `1/B^2 sum_j |G_j(t) - G_j(s)|_F^2`

    The sum is over pairs j of features `(B, ...)`. G is the matrix `(B, B)` of the products of flattened features, with
    rows of unit L2 norm. Sizes other than B may differ.

    Paper:
        Tung and Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019, equations 1 to 4.

    Args:
        student: Feature paths of the student.
        teacher: Feature paths of the teacher, in the same order.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str]) -> None:
        super().__init__()
        self.student_features, self.teacher_features = feature_pairs(student, teacher)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        losses = []
        for student_path, teacher_path in zip(self.student_features, self.teacher_features, strict=True):
            difference = _similarities(student[student_path]) - _similarities(teacher[teacher_path])
            losses.append(difference.square().mean())
        return torch.stack(losses).sum()


def _similarities(feature: Tensor) -> Tensor:
    flat = feature.flatten(1)
    return unit_vectors(flat @ flat.T)
