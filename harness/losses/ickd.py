"""ICKD."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.functional import paired, unit
from harness.models.outputs import ModelOutputs


class ICKD(nn.Module):
    """`sum_j 1/(C B^2) sum_i |G(e(s_i)) - G(t_i)|_F^2`, G the `(C, C)` products of channels, each row of unit L2 norm.

    `student` and `teacher` are lists of taps `(B, C, H, W)`; e is a learned 3x3 convolution with BatchNorm to the
    teacher's channels. The factors are those of the authors' code: B^2 makes the loss depend on the batch size.

    Liu et al., Exploring Inter-Channel Correlation for Diversity-Preserved Knowledge Distillation, ICCV 2021.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str]) -> None:
        super().__init__()
        self.student_features, self.teacher_features = paired(student, teacher)
        self.embeddings = nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make an embedding for each pair."""
        for mine, theirs in zip(self.student_features, self.teacher_features, strict=True):
            channels = teacher[theirs].shape[1]
            convolution = nn.Conv2d(student[mine].shape[1], channels, 3, padding=1, bias=False)
            self.embeddings.append(nn.Sequential(convolution, nn.BatchNorm2d(channels)))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        losses = []
        for mine, theirs, embedding in zip(self.student_features, self.teacher_features, self.embeddings, strict=True):
            ours, wanted = correlations(embedding(student[mine])), correlations(teacher[theirs])
            losses.append((ours - wanted).square().sum() / (wanted.shape[1] * len(wanted) ** 2))
        return torch.stack(losses).sum()


def correlations(feature: Tensor) -> Tensor:
    """The `(B, C, C)` inter-channel correlations of `(B, C, H, W)`."""
    flat = feature.flatten(2)
    return unit(flat @ flat.transpose(1, 2))
