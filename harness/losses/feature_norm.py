"""The size of a feature, a building block: a regulariser."""

import torch
from torch import Tensor, nn

from harness.models.outputs import ModelOutputs


class FeatureNorm(nn.Module):
    """`1/B sum_i |s_i|_p` of a tap `(B, ...)`: L1 makes it sparse."""

    reads_logits = False

    def __init__(self, *, of: str, p: float = 1.0) -> None:
        super().__init__()
        if not p > 0:
            raise ValueError(f"p must be above 0, not {p}")
        self.student_features, self.p = (of,), p

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(student[self.student_features[0]].flatten(1), self.p, dim=1)
        return norms.mean()
