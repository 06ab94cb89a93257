"""Activation boundaries."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.functional import connector, paired
from harness.models.outputs import ModelOutputs


class ActivationBoundaries(nn.Module):
    """`sum_j 1/B sum_i |rho(t) relu(m - r(s))|^2 + |(1 - rho(t)) relu(m + r(s))|^2`, rho(t) = 1 where t > 0, else 0.

    `student` and `teacher` are lists of taps `(B, C, H, W)` before their ReLU, of one size in each pair; r is a learned
    1x1 convolution with BatchNorm to the teacher's channels. The student's neurons are to be on, or off, by the
    `margin` m where the teacher's are. The paper trains with it first, then on the labels; the authors' code divides by
    1,000.

    Heo et al., Knowledge Transfer via Distillation of Activation Boundaries, AAAI 2019, eq. 5.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str], margin: float = 1.0) -> None:
        super().__init__()
        self.student_features, self.teacher_features = paired(student, teacher)
        self.margin, self.connectors = margin, nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make a connector for each pair; raises ValueError for a pair of different sizes."""
        for mine, theirs in zip(self.student_features, self.teacher_features, strict=True):
            self.connectors.append(connector(mine, student[mine], theirs, teacher[theirs]))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        losses = []
        for mine, theirs, leads in zip(self.student_features, self.teacher_features, self.connectors, strict=True):
            losses.append(boundary_distance(leads(student[mine]), teacher[theirs], self.margin))
        return torch.stack(losses).sum()


def boundary_distance(student: Tensor, teacher: Tensor, margin: float) -> Tensor:
    """`1/B sum relu(margin - s)^2` where t > 0 and `relu(margin + s)^2` elsewhere; both `(B, ...)`."""
    signed = torch.where(teacher > 0, student, -student)
    return (margin - signed).clamp_min(0).square().sum() / len(student)
