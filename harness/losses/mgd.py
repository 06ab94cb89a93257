"""Masked generative distillation (MGD)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import check_same_size, feature_pairs
from harness.models.outputs import ModelOutputs


class MGD(Loss):
    """Generate the teacher's feature from the student's with random pixels masked.

    `sum_j 1/B sum |t - G(M a(s))|^2`

    The sum is over pairs j of features `(B, C, H, W)` and over all numbers of an example: the paper's weight is 7e-5. a
    is a learned 1x1 convolution where channels differ. G is two learned 3x3 convolutions with a ReLU between them. M
    masks each pixel of an example, in all channels, with probability `mask`.

    Paper:
        Yang et al., Masked Generative Distillation, ECCV 2022, equations 3 to 6.

    Args:
        student: Feature paths of the student.
        teacher: Feature paths of the teacher, in the same order. Features of a pair have the same H and W.
        mask: Probability that a pixel is masked, in [0, 1).
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str], mask: float = 0.5) -> None:
        super().__init__()
        if not 0 <= mask < 1:
            raise ValueError(f"mask must be in [0, 1), not {mask}")
        self.student_features, self.teacher_features = feature_pairs(student, teacher)
        self.mask, self.aligners, self.generators = mask, nn.ModuleList(), nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create a generator for each pair; raises ValueError for a pair of different sizes."""
        for student_path, teacher_path in zip(self.student_features, self.teacher_features, strict=True):
            student_feature, teacher_feature = student[student_path], teacher[teacher_path]
            check_same_size(student_path, student_feature, teacher_path, teacher_feature)
            inputs, channels = student_feature.shape[1], teacher_feature.shape[1]
            self.aligners.append(nn.Identity() if inputs == channels else nn.Conv2d(inputs, channels, 1))
            first, second = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)
            self.generators.append(nn.Sequential(first, nn.ReLU(), second))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        losses = []
        for student_path, teacher_path, align, generate in zip(
            self.student_features, self.teacher_features, self.aligners, self.generators, strict=True
        ):
            aligned, target = align(student[student_path]), teacher[teacher_path]
            is_visible = torch.rand_like(aligned[:, :1]) >= self.mask
            losses.append((generate(aligned * is_visible) - target).square().sum() / len(target))
        return torch.stack(losses).sum()
