"""Variational information distillation (VID)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import check_same_size, feature_pairs
from harness.models.outputs import ModelOutputs


class VID(Loss):
    """Negative log-likelihood of the teacher's feature under a Gaussian predicted from the student's.

    `sum_j mean 1/2 ((t - mu(s))^2 / sigma_c^2 + log sigma_c^2)`

    The sum is over pairs j of features `(B, C, H, W)`. mu is three learned 1x1 convolutions with ReLU between them. The
    variance `sigma_c^2 = eps + log(1 + exp(a_c))` is learned for each channel. The paper has sums where this loss has
    means.

    Paper:
        Ahn et al., Variational Information Distillation for Knowledge Transfer, CVPR 2019, equations 5 and 6.

    Args:
        student: Feature paths of the student.
        teacher: Feature paths of the teacher, in the same order. Features of a pair have the same H and W.
        mid_channels: Channels between the convolutions; the teacher's if None.
        variance: Variance at the start, above eps.
        eps: Smallest variance, above 0.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(
        self,
        *,
        student: Sequence[str],
        teacher: Sequence[str],
        mid_channels: int | None = None,
        variance: float = 5.0,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.student_features, self.teacher_features = feature_pairs(student, teacher)
        if not variance > eps > 0:
            raise ValueError(f"variance must be above eps, and eps above 0, but variance = {variance} and eps = {eps}")
        self.mid_channels, self.variance, self.eps = mid_channels, variance, eps
        self.means, self.scales = nn.ModuleList(), nn.ParameterList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create mean and variance for each pair; raises ValueError for a pair of different sizes."""
        for student_path, teacher_path in zip(self.student_features, self.teacher_features, strict=True):
            student_feature, teacher_feature = student[student_path], teacher[teacher_path]
            check_same_size(student_path, student_feature, teacher_path, teacher_feature)
            inputs, outputs = student_feature.shape[1], teacher_feature.shape[1]
            middle = self.mid_channels or outputs
            start = self.variance - self.eps
            start += math.log(-math.expm1(-start))  # the inverse of softplus
            first, second = nn.Conv2d(inputs, middle, 1, bias=False), nn.Conv2d(middle, middle, 1, bias=False)
            third = nn.Conv2d(middle, outputs, 1, bias=False)
            self.means.append(nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third))
            self.scales.append(torch.full((outputs,), start))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        losses = []
        for student_path, teacher_path, mean, scale in zip(
            self.student_features, self.teacher_features, self.means, self.scales, strict=True
        ):
            variance = (F.softplus(scale) + self.eps).view(1, -1, 1, 1)
            squares = (mean(student[student_path]) - teacher[teacher_path]).square()
            losses.append((squares / variance + variance.log()).mean() / 2)
        return torch.stack(losses).sum()
