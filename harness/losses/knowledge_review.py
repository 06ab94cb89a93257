"""Knowledge review."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import check_same_size, feature_pairs
from harness.models.outputs import ModelOutputs

SIDES = (4, 2, 1)
"""Sides to which the hierarchical context loss pools features."""


class KnowledgeReview(Loss):
    """Distance of the student's features, each fused with all deeper ones, from the teacher's features.

    `sum_i HCL(ABF_i(s_i, r_(i+1)), t_i)`

    The sum is equation 8 with the fusions of figure 3, from the deepest layer to the shallowest. The attention-based
    fusion (ABF) brings a student's feature to `mid_channels` and adds the residual feature r of the next deeper layer;
    learned attention weights both at every pixel. It then maps the sum to the teacher's channels. The hierarchical
    context loss (HCL) is the mean squared error at full size and pooled to sides of 4, 2 and 1, with weights 1, 1/2,
    1/4 and 1/8 divided by their sum.

    Paper:
        Chen et al., Distilling Knowledge via Knowledge Review, CVPR 2021, equation 8 and figure 3.

    Args:
        student: Feature paths of the student, `(B, C, H, W)`, from shallow to deep.
        teacher: Feature paths of the teacher, in the same order. Features of a pair have the same H and W.
        mid_channels: Channels inside the fusions.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str], mid_channels: int = 512) -> None:
        super().__init__()
        self.student_features, self.teacher_features = feature_pairs(student, teacher)
        self.mid_channels = mid_channels
        self.fusions = nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create a fusion for each pair; raises ValueError for a pair of different sizes."""
        pairs = zip(self.student_features, self.teacher_features, strict=True)
        for number, (student_path, teacher_path) in enumerate(pairs, 1):
            student_feature, teacher_feature = student[student_path], teacher[teacher_path]
            check_same_size(student_path, student_feature, teacher_path, teacher_feature)
            inputs, outputs = student_feature.shape[1], teacher_feature.shape[1]
            is_deepest = number == len(self.student_features)
            self.fusions.append(Fusion(inputs, self.mid_channels, outputs, attends=not is_deepest))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        residual: Tensor | None = None
        losses = []
        triples = zip(self.student_features, self.teacher_features, self.fusions, strict=True)
        for student_path, teacher_path, fuse in reversed(list(triples)):
            fused, residual = fuse(student[student_path], residual)
            losses.append(hierarchical_context_loss(fused, teacher[teacher_path]))
        return torch.stack(losses).sum()


class Fusion(nn.Module):
    """Attention-based fusion of a feature `(B, C, H, W)` with the residual feature of the next deeper layer."""

    def __init__(self, inputs: int, mid_channels: int, outputs: int, *, attends: bool) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(inputs, mid_channels, 1, bias=False), nn.BatchNorm2d(mid_channels))
        self.expand = nn.Sequential(nn.Conv2d(mid_channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.attention = nn.Sequential(nn.Conv2d(2 * mid_channels, 2, 1), nn.Sigmoid()) if attends else None
        for module in (*self.reduce, *self.expand):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)

    def forward(self, feature: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the feature to compare with the teacher's, and the residual feature for the next shallower layer."""
        fused = self.reduce(feature)
        if self.attention is not None:
            assert residual is not None
            residual = F.interpolate(residual, size=fused.shape[2:], mode="nearest")
            weights = self.attention(torch.cat([fused, residual], dim=1))
            fused = fused * weights[:, :1] + residual * weights[:, 1:]
        return self.expand(fused), fused


def hierarchical_context_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared error of features `(B, C, H, W)` at full size and at pooled sizes.

    Each size has half the weight of the one before. Sides that are not smaller than the features are left out.
    """
    loss, total, weight = F.mse_loss(student, teacher), 1.0, 1.0
    for side in SIDES:
        if side < student.shape[2]:
            weight /= 2
            pooled_student, pooled_teacher = (_pooled(features, side) for features in (student, teacher))
            loss, total = loss + weight * F.mse_loss(pooled_student, pooled_teacher), total + weight
    return loss / total


def _pooled(features: Tensor, side: int) -> Tensor:
    """Average to `(B, C, side, side)` over the windows of torch's adaptive pooling.

    Matrix products have a deterministic gradient on a GPU too.
    """
    rows, columns = (_windows(length, side, features) for length in features.shape[2:])
    return rows @ features @ columns.T


def _windows(length: int, side: int, features: Tensor) -> Tensor:
    """Return a matrix `(side, length)` whose row i averages over the i-th window, in the dtype of the features."""
    row, place = torch.arange(side, device=features.device).unsqueeze(1), torch.arange(length, device=features.device)
    first, last = row * length // side, -(-(row + 1) * length // side)
    return ((place >= first) & (place < last)).to(features.dtype) / (last - first)
