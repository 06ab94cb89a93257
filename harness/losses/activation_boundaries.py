"""Distillation of activation boundaries."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import connector, feature_pairs
from harness.models.outputs import ModelOutputs


class ActivationBoundaries(Loss):
    """Make the student's neurons active or inactive, by a margin, where the teacher's are.

    `sum_j 1/B sum_i |rho(t) relu(m - r(s))|^2 + |(1 - rho(t)) relu(m + r(s))|^2`

    The sum is over pairs j of features `(B, C, H, W)` before their ReLU. rho(t) is 1 where t > 0, else 0; r is a
    learned 1x1 convolution with BatchNorm to the teacher's channels. The paper first trains with this loss alone, then
    on the labels. The authors' code divides the loss by 1,000; this one does not.

    Paper:
        Heo et al., Knowledge Transfer via Distillation of Activation Boundaries, AAAI 2019, equation 5.

    Args:
        student: Feature paths of the student.
        teacher: Feature paths of the teacher, in the same order. Features of a pair have the same H and W.
        margin: m.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str], margin: float = 1.0) -> None:
        super().__init__()
        self.student_features, self.teacher_features = feature_pairs(student, teacher)
        self.margin, self.connectors = margin, nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create a connector for each pair; raises ValueError for a pair of different sizes."""
        for student_path, teacher_path in zip(self.student_features, self.teacher_features, strict=True):
            self.connectors.append(connector(student_path, student[student_path], teacher_path, teacher[teacher_path]))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        triples = zip(self.student_features, self.teacher_features, self.connectors, strict=True)
        losses = [
            boundary_distance(connect(student[student_path]), teacher[teacher_path], self.margin)
            for student_path, teacher_path, connect in triples
        ]
        return torch.stack(losses).sum()


def boundary_distance(student: Tensor, teacher: Tensor, margin: float) -> Tensor:
    """Return `1/B sum relu(margin - s)^2` where t > 0 and `relu(margin + s)^2` elsewhere, for features `(B, ...)`."""
    signed = torch.where(teacher > 0, student, -student)
    return (margin - signed).clamp_min(0).square().sum() / len(student)
