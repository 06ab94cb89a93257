"""CCKD."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from harness.losses.functional import check_choice, unit
from harness.models.outputs import ModelOutputs


class CCKD(nn.Module):
    """`1/B^2 |C(s) - C(t)|_F^2`, C the `(B, B)` kernel of the embedded features of either.

    `student` and `teacher` are taps `(B, ...)`, flattened and led through a learned linear layer each to `dim`
    features. `kernel: bilinear` is `x_i . x_j`; `gaussian` is `exp(-gamma |x_i - x_j|^2)` of unit vectors, expanded as
    `exp(-2 gamma) sum_(p <= order) (2 gamma)^p / p! (x_i . x_j)^p`.

    Peng et al., Correlation Congruence for Knowledge Distillation, ICCV 2019, equations 4 to 8.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

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
        self.student_embedding: nn.Module | None = None
        self.teacher_embedding: nn.Module | None = None

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make both embeddings."""
        self.student_embedding = nn.Linear(student[self.student_features[0]].flatten(1).shape[1], self.dim)
        self.teacher_embedding = nn.Linear(teacher[self.teacher_features[0]].flatten(1).shape[1], self.dim)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.student_embedding is not None and self.teacher_embedding is not None
        mine = self._correlations(self.student_embedding(student[self.student_features[0]].flatten(1)))
        theirs = self._correlations(self.teacher_embedding(teacher[self.teacher_features[0]].flatten(1)))
        return (mine - theirs).square().mean()

    def _correlations(self, embedded: Tensor) -> Tensor:
        if self.kernel == "bilinear":
            return embedded @ embedded.T
        directions = unit(embedded)
        cosine = directions @ directions.T
        powers = [(2 * self.gamma) ** p / math.factorial(p) * cosine**p for p in range(self.order + 1)]
        return math.exp(-2 * self.gamma) * torch.stack(powers).sum(0)
