"""VID."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import paired, same_size
from harness.models.outputs import ModelOutputs


class VID(nn.Module):
    """`sum_j mean 1/2 ((t - mu(s))^2 / sigma_c^2 + log sigma_c^2)`: how unlikely t is for a Gaussian that s tells.

    `student` and `teacher` are lists of taps `(B, C, H, W)`, of one size in each pair. mu is three learned 1x1
    convolutions with ReLU between them, of `mid_channels`, or as many as the teacher's; `sigma_c^2 = eps + log(1 +
    exp(a_c))` is learned for each channel and starts at `variance`. The paper sums where this takes the mean.

    Ahn et al., Variational Information Distillation for Knowledge Transfer, CVPR 2019, equations 5 and 6.
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
        self.student_features, self.teacher_features = paired(student, teacher)
        if not variance > eps > 0:
            raise ValueError(f"variance must be above eps, and that above 0, not {variance} and {eps}")
        self.mid_channels, self.variance, self.eps = mid_channels, variance, eps
        self.means, self.scales = nn.ModuleList(), nn.ParameterList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make mean and variance of each pair; raises ValueError for a pair of different sizes."""
        for mine, theirs in zip(self.student_features, self.teacher_features, strict=True):
            given, wanted = student[mine], teacher[theirs]
            same_size(mine, given, theirs, wanted)
            inputs, outputs = given.shape[1], wanted.shape[1]
            middle = self.mid_channels or outputs
            start = self.variance - self.eps
            start += math.log(-math.expm1(-start))  # the inverse of softplus
            first, second = nn.Conv2d(inputs, middle, 1, bias=False), nn.Conv2d(middle, middle, 1, bias=False)
            third = nn.Conv2d(middle, outputs, 1, bias=False)
            self.means.append(nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third))
            self.scales.append(torch.full((outputs,), start))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        losses = []
        for mine, theirs, mean, scale in zip(
            self.student_features, self.teacher_features, self.means, self.scales, strict=True
        ):
            variance = (F.softplus(scale) + self.eps).view(1, -1, 1, 1)
            squared = (mean(student[mine]) - teacher[theirs]).square()
            losses.append((squared / variance + variance.log()).mean() / 2)
        return torch.stack(losses).sum()
