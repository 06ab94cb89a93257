"""Norm of a feature."""

import torch
from torch import Tensor

from harness.losses.base import Loss
from harness.models.outputs import ModelOutputs


class FeatureNorm(Loss):
    """Norm of a student's feature: a regularizer without a paper. The L1 norm makes the feature sparse.

    `1/B sum_i |s_i|_p`

    Args:
        of: Feature path of the student, `(B, ...)`.
        p: Order of the norm, above 0.
    """

    reads_logits = False

    def __init__(self, *, of: str, p: float = 1.0) -> None:
        super().__init__()
        if not p > 0:
            raise ValueError(f"p must be above 0, not {p}")
        self.student_features, self.p = (of,), p

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(student[self.student_features[0]].flatten(1), self.p, dim=1)
        return norms.mean()
