"""Simple recipe for distillation (SRD): the role of the projector."""

import torch
from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import check_temperature, kl_divergence
from harness.models.outputs import ModelOutputs


class SRD(Loss):
    """Logarithm of the distance between normalized features, plus the divergence of the predictions.

    `2 log sum |n(W s) - n'(t)|^a + 1/B sum_i KL(softmax(t_i / T) || softmax(s_i / T))`

    The first sum is over all numbers `(B, D)`. Features are `(B, D)`, or `(B, D, H, W)` averaged over pixels. W is a
    learned linear layer; n and n' are BatchNorm without parameters. Where student and teacher are equal, the sum counts
    as the smallest normal number, without a gradient. The factor 2 is torchdistill's.

    Paper:
        Miles and Mikolajczyk, Understanding the Role of the Projector in Knowledge Distillation, AAAI 2024,
        equation 10.

    Args:
        student: Feature path of the student.
        teacher: Feature path of the teacher.
        exponent: a, at least 1.
        temperature: T, of the logits.
        eps: Added to the variances of BatchNorm.
    """

    needs_teacher = True
    needs_whole_batch = True
    needs_two_rows = True

    projector: nn.Module
    teacher_norm: nn.Module

    def __init__(
        self, *, student: str, teacher: str, exponent: float = 4.0, temperature: float = 1.0, eps: float = 1e-4
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        if exponent < 1:
            raise ValueError(f"exponent must be at least 1, not {exponent}")
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.exponent, self.temperature, self.eps = exponent, temperature, eps

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create the projector and both norms."""
        inputs = _pooled(student[self.student_features[0]]).shape[1]
        width = _pooled(teacher[self.teacher_features[0]]).shape[1]
        norm = nn.BatchNorm1d(width, eps=self.eps, affine=False)
        self.projector = nn.Sequential(nn.Linear(inputs, width), norm)
        self.teacher_norm = nn.BatchNorm1d(width, eps=self.eps, affine=False)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        projected = self.projector(_pooled(student[self.student_features[0]]))
        target = self.teacher_norm(_pooled(teacher[self.teacher_features[0]]))
        distance = (projected - target).abs().pow(self.exponent).sum()
        soft = kl_divergence(student.logits, teacher.logits, self.temperature).mean()
        loss: Tensor = 2 * distance.clamp_min(torch.finfo(distance.dtype).tiny).log() + soft
        return loss


def _pooled(feature: Tensor) -> Tensor:
    return feature.mean((2, 3)) if feature.dim() == 4 else feature.flatten(1)
