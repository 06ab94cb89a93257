"""OFD."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.functional import connector, paired
from harness.models.outputs import ModelOutputs


class OFD(nn.Module):
    """`sum_j 2^(j - J) 1/B sum d(max(t, m), r(s))`, `d(x, y) = 0` where `y <= x <= 0`, else `(x - y)^2`.

    `student` and `teacher` are lists of J taps `(B, C, H, W)` before their ReLU, from the shallowest on, of one size in
    each pair; r is a learned 1x1 convolution with BatchNorm. The margin m of a channel is the mean of the teacher's
    negative responses: here over what was seen so far of the training split, which is the paper's first way
    ("calculated directly in the training process"), and is kept in the checkpoint. So it moves within a batch that is
    taken in parts, and follows each process's rows. The weights of the layers are those of the authors' code, which
    also divides by 1,000.

    Heo et al., A Comprehensive Overhaul of Feature Distillation, ICCV 2019, equations 2 to 5.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str]) -> None:
        super().__init__()
        self.student_features, self.teacher_features = paired(student, teacher)
        self.connectors, self.margins = nn.ModuleList(), nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make a connector and a margin for each pair; raises ValueError for a pair of different sizes."""
        for mine, theirs in zip(self.student_features, self.teacher_features, strict=True):
            self.connectors.append(connector(mine, student[mine], theirs, teacher[theirs]))
            self.margins.append(Margin(teacher[theirs].shape[1]))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        losses = []
        for depth, (mine, theirs) in enumerate(zip(self.student_features, self.teacher_features, strict=True), 1):
            connected, wanted = self.connectors[depth - 1](student[mine]), self.margins[depth - 1](teacher[theirs])
            factor = 2.0 ** (depth - len(self.student_features))
            losses.append(factor * partial_distance(connected, wanted) / len(wanted))
        return torch.stack(losses).sum()


class Margin(nn.Module):
    """`max(x, m)`, m the mean of the negative numbers of each channel in all that was seen in training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(channels))
        self.register_buffer("count", torch.zeros(channels))

    @torch.no_grad()
    def forward(self, feature: Tensor) -> Tensor:
        total, count = self.get_buffer("total"), self.get_buffer("count")
        if self.training:
            total += feature.clamp_max(0).sum((0, 2, 3))
            count += (feature < 0).sum((0, 2, 3))
        return torch.maximum(feature, (total / count.clamp_min(1)).to(feature).view(1, -1, 1, 1))


def partial_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """The sum of the squared differences, but for those where the student is below a teacher that is off."""
    counts = (student > teacher) | (teacher > 0)
    return ((student - teacher).square() * counts).sum()
