"""Head network distillation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.functional import fitted, paired
from harness.models.outputs import ModelOutputs


class HeadNetworkDistillation(nn.Module):
    """`1/B sum_i sum_j |s_ij - t_ij|^2`: a small head of a split network against the layers of the one it replaces.

    `student` and `teacher` are lists of taps of equal shapes in each pair, the last one where the network is split;
    with several it is the generalised method. The head is trained alone: `trainable` names it. Where shapes differ, a
    learned regressor stands before the student's. A sum over an example's numbers, as in the paper.

    Matsubara et al., Head Network Distillation, IEEE Access 2020; generalised, ICPR 2020.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str]) -> None:
        super().__init__()
        self.student_features, self.teacher_features = paired(student, teacher)
        self.adapters = nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the regressors that shapes need."""
        for mine, theirs in zip(self.student_features, self.teacher_features, strict=True):
            self.adapters.append(fitted(student[mine], teacher[theirs]))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        losses = []
        for mine, theirs, adapter in zip(self.student_features, self.teacher_features, self.adapters, strict=True):
            losses.append((adapter(student[mine]) - teacher[theirs]).square().flatten(1).sum(1).mean())
        return torch.stack(losses).sum()
