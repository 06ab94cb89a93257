"""SRD."""

import torch
from torch import Tensor, nn

from harness.losses.functional import check_temperature, divergence
from harness.models.outputs import ModelOutputs


class SRD(nn.Module):
    """`2 log sum |n(W s) - n'(t)|^a + 1/B sum_i KL(softmax(t_i / T) || softmax(s_i / T))`, the sum over all `(B, D)`.

    `student` and `teacher` are taps of features, `(B, D)` or averaged over their pixels `(B, D, H, W)`; W is a learned
    linear layer, n and n' BatchNorm without parameters, a the `exponent`, and T that of the logits. Where both are
    equal, the sum counts as the smallest normal number, without a gradient. The factor 2 is torchdistill's.

    Miles and Mikolajczyk, Understanding the Role of the Projector in Knowledge Distillation, AAAI 2024, eq. 10.
    """

    needs_teacher = True
    needs_whole_batch = True
    needs_two_rows = True

    def __init__(
        self, *, student: str, teacher: str, exponent: float = 4.0, temperature: float = 1.0, eps: float = 1e-4
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        if exponent < 1:
            raise ValueError(f"exponent must be at least 1, not {exponent}")
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.exponent, self.temperature, self.eps = exponent, temperature, eps
        self.projector: nn.Module | None = None
        self.teacher_norm: nn.Module | None = None

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the projector and both norms."""
        given, wanted = _pooled(student[self.student_features[0]]), _pooled(teacher[self.teacher_features[0]])
        width = wanted.shape[1]
        norm = nn.BatchNorm1d(width, eps=self.eps, affine=False)
        self.projector = nn.Sequential(nn.Linear(given.shape[1], width), norm)
        self.teacher_norm = nn.BatchNorm1d(width, eps=self.eps, affine=False)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.projector is not None and self.teacher_norm is not None
        mine = self.projector(_pooled(student[self.student_features[0]]))
        theirs = self.teacher_norm(_pooled(teacher[self.teacher_features[0]]))
        distance = (mine - theirs).abs().pow(self.exponent).sum()
        soft = divergence(student.logits, teacher.logits, self.temperature).mean()
        loss: Tensor = 2 * distance.clamp_min(torch.finfo(distance.dtype).tiny).log() + soft
        return loss


def _pooled(feature: Tensor) -> Tensor:
    return feature.mean((2, 3)) if feature.dim() == 4 else feature.flatten(1)
