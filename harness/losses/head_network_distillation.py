"""Head network distillation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import adapter_for, feature_pairs
from harness.models.outputs import ModelOutputs


class HeadNetworkDistillation(Loss):
    """Squared distance of the features of a small head network from those of the layers that it replaces.

    `1/B sum_i sum_j |s_ij - t_ij|^2`

    The sum is over examples i and pairs j of features of equal shape, and over all numbers of an example, as in the
    paper. The last pair is at the split of the network; several pairs are the generalized method. Train the head alone
    by naming it in `trainable`. Where shapes differ, a learned regressor maps the student's feature to the teacher's.

    Paper:
        Matsubara et al., Head Network Distillation, IEEE Access 2020; generalized, ICPR 2020.

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
        """Create a regressor for each pair whose shapes differ; raises ValueError if none fits."""
        for student_path, teacher_path in zip(self.student_features, self.teacher_features, strict=True):
            self.adapters.append(adapter_for(student[student_path], teacher[teacher_path]))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        losses = []
        triples = zip(self.student_features, self.teacher_features, self.adapters, strict=True)
        for student_path, teacher_path, adapter in triples:
            difference = adapter(student[student_path]) - teacher[teacher_path]
            losses.append(difference.square().flatten(1).sum(1).mean())
        return torch.stack(losses).sum()
