"""Inter-channel correlation for knowledge distillation (ICKD)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import feature_pairs, unit_vectors
from harness.models.outputs import ModelOutputs


class ICKD(Loss):
    """Distance between the inter-channel correlations of student and teacher.

    `sum_j 1/(C B^2) sum_i |G(e(s_i)) - G(t_i)|_F^2`

    The sum is over pairs j of features `(B, C, H, W)`. G is the `(C, C)` matrix of products of channels, with rows of
    unit L2 norm. e is a learned 3x3 convolution with BatchNorm to the teacher's channels. The factors are those of the
    authors' code: B^2 makes the loss depend on the batch size.

    Paper:
        Liu et al., Exploring Inter-Channel Correlation for Diversity-Preserved Knowledge Distillation, ICCV 2021.

    Args:
        student: Feature paths of the student.
        teacher: Feature paths of the teacher, in the same order.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str]) -> None:
        super().__init__()
        self.student_features, self.teacher_features = feature_pairs(student, teacher)
        self.embeddings = nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create an embedding for each pair."""
        for student_path, teacher_path in zip(self.student_features, self.teacher_features, strict=True):
            channels = teacher[teacher_path].shape[1]
            convolution = nn.Conv2d(student[student_path].shape[1], channels, 3, padding=1, bias=False)
            self.embeddings.append(nn.Sequential(convolution, nn.BatchNorm2d(channels)))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        losses = []
        triples = zip(self.student_features, self.teacher_features, self.embeddings, strict=True)
        for student_path, teacher_path, embed in triples:
            embedded, target = correlations(embed(student[student_path])), correlations(teacher[teacher_path])
            losses.append((embedded - target).square().sum() / (target.shape[1] * len(target) ** 2))
        return torch.stack(losses).sum()


def correlations(feature: Tensor) -> Tensor:
    """Return the inter-channel correlations `(B, C, C)` of a feature `(B, C, H, W)`."""
    flat = feature.flatten(2)
    return unit_vectors(flat @ flat.transpose(1, 2))
