"""Patient distillation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.functional import fitted, paired, unit
from harness.models.outputs import ModelOutputs


class PatientKD(nn.Module):
    """`1/B sum_i sum_j |s_ij / |s_ij| - t_ij / |t_ij||_2^2`: the first token's hidden state, layer by layer.

    `student` and `teacher` are lists of taps `(B, T, D)` of transformer layers, every other one of the teacher's or its
    last ones. The paper's models are equally wide; where yours are not, a learned linear layer brings the student's to
    the teacher's width.

    Sun et al., Patient Knowledge Distillation for BERT Model Compression, EMNLP 2019, eq. 7.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str]) -> None:
        super().__init__()
        self.student_features, self.teacher_features = paired(student, teacher)
        self.adapters = nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the maps between widths."""
        for mine, theirs in zip(self.student_features, self.teacher_features, strict=True):
            self.adapters.append(fitted(student[mine][:, 0], teacher[theirs][:, 0]))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        losses = []
        for mine, theirs, adapter in zip(self.student_features, self.teacher_features, self.adapters, strict=True):
            difference = unit(adapter(student[mine][:, 0])) - unit(teacher[theirs][:, 0])
            losses.append(difference.square().sum(1).mean())
        return torch.stack(losses).sum()
