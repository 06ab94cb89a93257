"""Knowledge review."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import paired, same_size
from harness.models.outputs import ModelOutputs

SIZES = (4, 2, 1)
"""The sides to which features are pooled for the hierarchical context loss."""


class KnowledgeReview(nn.Module):
    """`sum_i HCL(ABF_i(s_i, r_(i+1)), t_i)`: a student's layers, each fused with all deeper ones, against a teacher's.

    Equation 8 with the fusions of figure 3: from the deepest layer up, ABF brings a student's feature to
    `mid_channels`, adds the residual feature r of the layer below it, weighed pixel by pixel by learned attention, and
    maps the sum to the teacher's channels; HCL is the mean squared error at full size and pooled to sides of 4, 2 and
    1, with weights 1, 1/2, 1/4 and 1/8 over their sum.

    `student` and `teacher` are taps in pairs, from the shallowest on, of shape `(B, C, H, W)`; those of a pair have one
    size. The adapters are made for the shapes that are seen.

    Chen et al., Distilling Knowledge via Knowledge Review, CVPR 2021.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str], mid_channels: int = 512) -> None:
        super().__init__()
        self.student_features, self.teacher_features = paired(student, teacher)
        self.mid_channels = mid_channels
        self.fusions = nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make a fusion for each pair of layers; raises ValueError for a pair of different sizes."""
        for number, (mine, theirs) in enumerate(zip(self.student_features, self.teacher_features, strict=True)):
            given, wanted = student[mine], teacher[theirs]
            same_size(mine, given, theirs, wanted)
            deepest = number == len(self.student_features) - 1
            self.fusions.append(Fusion(given.shape[1], self.mid_channels, wanted.shape[1], attends=not deepest))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        residual: Tensor | None = None
        losses = []
        pairs = zip(self.student_features, self.teacher_features, self.fusions, strict=True)
        for mine, theirs, fusion in reversed(list(pairs)):
            reviewed, residual = fusion(student[mine], residual)
            losses.append(hierarchical_context(reviewed, teacher[theirs]))
        return torch.stack(losses).sum()


class Fusion(nn.Module):
    """Attention-based fusion of a feature `(B, C, H, W)` with what was made of the deeper ones."""

    def __init__(self, inputs: int, mid_channels: int, outputs: int, *, attends: bool) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(inputs, mid_channels, 1, bias=False), nn.BatchNorm2d(mid_channels))
        self.expand = nn.Sequential(nn.Conv2d(mid_channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.attention = nn.Sequential(nn.Conv2d(2 * mid_channels, 2, 1), nn.Sigmoid()) if attends else None
        for module in (*self.reduce, *self.expand):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)

    def forward(self, features: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
        """What is compared with the teacher, and the residual feature for the layer above."""
        fused = self.reduce(features)
        if self.attention is not None:
            assert residual is not None
            residual = F.interpolate(residual, size=fused.shape[2:], mode="nearest")
            weights = self.attention(torch.cat([fused, residual], dim=1))
            fused = fused * weights[:, :1] + residual * weights[:, 1:]
        return self.expand(fused), fused


def hierarchical_context(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean squared error of features `(B, C, H, W)` at full size and pooled, each half as heavy as the one before.

    Sides that are not smaller than the features are left out.
    """
    loss, total, weight = F.mse_loss(student, teacher), 1.0, 1.0
    for side in SIZES:
        if side < student.shape[2]:
            weight /= 2
            mine, theirs = (_pooled(features, side) for features in (student, teacher))
            loss, total = loss + weight * F.mse_loss(mine, theirs), total + weight
    return loss / total


def _pooled(features: Tensor, side: int) -> Tensor:
    """Averaged to `(B, C, side, side)`, over windows as torch's adaptive pooling has them.

    By matrices, whose gradient is the same at every run on a GPU too.
    """
    rows, columns = (_windows(length, side).to(features) for length in features.shape[2:])
    return rows @ features @ columns.T


def _windows(length: int, side: int) -> Tensor:
    """`(side, length)`: in row i the weights of the mean over the i-th window."""
    weights = torch.zeros(side, length)
    for i in range(side):
        first, last = i * length // side, -(-(i + 1) * length // side)
        weights[i, first:last] = 1 / (last - first)
    return weights
