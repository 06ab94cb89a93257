"""Correlation congruence for knowledge distillation (CCKD)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import check_choice, unit_vectors
from harness.models.outputs import ModelOutputs


class CCKD(Loss):
    """Squared distance between the correlations of the examples of a batch.

    `1/B^2 |C(s) - C(t)|_F^2`

    C is the `(B, B)` kernel matrix of embedded features. The features `(B, ...)` of either model are flattened and
    embedded by a learned linear layer each. The bilinear kernel is `x_i . x_j`. The Gaussian kernel is
    `exp(-gamma |x_i - x_j|^2)` of unit vectors, expanded as
    `exp(-2 gamma) sum_(p <= order) (2 gamma)^p / p! (x_i . x_j)^p`.

    Paper:
        Peng et al., Correlation Congruence for Knowledge Distillation, ICCV 2019, equations 4 to 8.

    Args:
        student: Feature path of the student.
        teacher: Feature path of the teacher.
        dim: Width of the embeddings.
        kernel: `gaussian` or `bilinear`.
        gamma: Inverse width of the Gaussian kernel.
        order: Highest power in the expansion of the Gaussian kernel.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    student_embedding: nn.Module
    teacher_embedding: nn.Module

    def __init__(
        self,
        *,
        student: str,
        teacher: str,
        dim: int = 128,
        kernel: Literal["gaussian", "bilinear"] = "gaussian",
        gamma: float = 0.4,
        order: int = 2,
    ) -> None:
        super().__init__()
        check_choice("kernel", kernel, ("gaussian", "bilinear"))
        self.student_features, self.teacher_features, self.dim = (student,), (teacher,), dim
        self.kernel, self.gamma, self.order = kernel, gamma, order

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create both embeddings."""
        self.student_embedding = nn.Linear(student[self.student_features[0]].flatten(1).shape[1], self.dim)
        self.teacher_embedding = nn.Linear(teacher[self.teacher_features[0]].flatten(1).shape[1], self.dim)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        student_kernel = self._correlations(self.student_embedding(student[self.student_features[0]].flatten(1)))
        teacher_kernel = self._correlations(self.teacher_embedding(teacher[self.teacher_features[0]].flatten(1)))
        return (student_kernel - teacher_kernel).square().mean()

    def _correlations(self, embeddings: Tensor) -> Tensor:
        if self.kernel == "bilinear":
            return embeddings @ embeddings.T
        directions = unit_vectors(embeddings)
        cosine = directions @ directions.T
        powers = [(2 * self.gamma) ** p / math.factorial(p) * cosine**p for p in range(self.order + 1)]
        return math.exp(-2 * self.gamma) * torch.stack(powers).sum(0)
