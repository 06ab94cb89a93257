"""Patient knowledge distillation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import adapter_for, feature_pairs, unit_vectors
from harness.models.outputs import ModelOutputs


class PatientKD(Loss):
    """Squared distance between the normalized hidden states of the first token, layer by layer.

    `1/B sum_i sum_j |s_ij / |s_ij| - t_ij / |t_ij||_2^2`

    The sum is over examples i and pairs j of hidden states `(B, T, D)` of transformer layers: every other layer of the
    teacher, or its last layers. The paper's models have equal widths; where widths differ, a learned linear layer maps
    the student's hidden state to the teacher's width.

    Paper:
        Sun et al., Patient Knowledge Distillation for BERT Model Compression, EMNLP 2019, equation 7.

    Args:
        student: Feature paths of the student.
        teacher: Feature paths of the teacher, in the same order.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str]) -> None:
        super().__init__()
        self.student_features, self.teacher_features = feature_pairs(student, teacher)
        self.adapters = nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create a linear layer for each pair whose widths differ."""
        for student_path, teacher_path in zip(self.student_features, self.teacher_features, strict=True):
            self.adapters.append(adapter_for(student[student_path][:, 0], teacher[teacher_path][:, 0]))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        losses = []
        triples = zip(self.student_features, self.teacher_features, self.adapters, strict=True)
        for student_path, teacher_path, adapter in triples:
            adapted, target = adapter(student[student_path][:, 0]), teacher[teacher_path][:, 0]
            difference = unit_vectors(adapted) - unit_vectors(target)
            losses.append(difference.square().sum(1).mean())
        return torch.stack(losses).sum()
