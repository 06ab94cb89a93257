"""Overhaul of feature distillation (OFD)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import connector, feature_pairs
from harness.models.outputs import ModelOutputs


class OFD(Loss):
    """Partial distance of the student's features from the teacher's, before their ReLU and above a margin.

    `sum_j 2^(j - J) 1/B sum d(max(t, m), r(s))`

    The sum is over J pairs j of features `(B, C, H, W)`. `d(x, y)` is 0 where `y <= x <= 0`, else `(x - y)^2`. r is a
    learned 1x1 convolution with BatchNorm. The weights of the layers are those of the authors' code, which also divides
    by 1,000; this loss does not.

    The margin m of a channel is the mean of the teacher's negative responses, over the rows of the training split seen
    so far. This is the first of the paper's two ways ("calculated directly in the training process"). The margin is
    part of a checkpoint. It changes between the micro-batches of a batch, and each process has one of its rows.

    Paper:
        Heo et al., A Comprehensive Overhaul of Feature Distillation, ICCV 2019, equations 2 to 5.

    Args:
        student: Feature paths of the student, from shallow to deep.
        teacher: Feature paths of the teacher, in the same order. Features of a pair have the same H and W.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str]) -> None:
        super().__init__()
        self.student_features, self.teacher_features = feature_pairs(student, teacher)
        self.connectors, self.margins = nn.ModuleList(), nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create a connector and a margin for each pair; raises ValueError for a pair of different sizes."""
        for student_path, teacher_path in zip(self.student_features, self.teacher_features, strict=True):
            teacher_feature = teacher[teacher_path]
            self.connectors.append(connector(student_path, student[student_path], teacher_path, teacher_feature))
            self.margins.append(Margin(teacher_feature.shape[1]))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        losses = []
        for depth, (student_path, teacher_path) in enumerate(
            zip(self.student_features, self.teacher_features, strict=True), 1
        ):
            connected = self.connectors[depth - 1](student[student_path])
            target = self.margins[depth - 1](teacher[teacher_path])
            weight = 2.0 ** (depth - len(self.student_features))
            losses.append(weight * partial_distance(connected, target) / len(target))
        return torch.stack(losses).sum()


class Margin(nn.Module):
    """`max(x, m)`: m is the mean of the negative numbers of each channel in all features seen in training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(channels))
        self.register_buffer("count", torch.zeros(channels))

    @torch.no_grad()
    def forward(self, feature: Tensor) -> Tensor:
        total, count = self.get_buffer("total"), self.get_buffer("count")
        if self.training:
            total += feature.clamp_max(0).sum((0, 2, 3))
            count += (feature < 0).sum((0, 2, 3))
        return torch.maximum(feature, (total / count.clamp_min(1)).to(feature).view(1, -1, 1, 1))


def partial_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the sum of squared differences, without those where the student is below an inactive teacher."""
    counts = (student > teacher) | (teacher > 0)
    return ((student - teacher).square() * counts).sum()
