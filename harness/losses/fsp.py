"""FSP."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import paired
from harness.models.outputs import ModelOutputs


class FSP(nn.Module):
    """`1/B sum_i sum_j |G_j(t) - G_j(s)|_F^2`, G = `1/(HW) F_1 F_2^T`: how features flow from one layer to a later one.

    `student` and `teacher` list pairs of taps, `[[first, second], ...]`, all `(B, C, H, W)`; the larger of two is
    max-pooled to the size of the other. The paper's networks have equal widths; where yours do not, a learned 1x1
    convolution brings a student's layer to the teacher's channels.

    Yim et al., A Gift from Knowledge Distillation, CVPR 2017, equations 1 and 2.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[Sequence[str]], teacher: Sequence[Sequence[str]]) -> None:
        super().__init__()
        paired(*([tap for flow in flows for tap in flow] for flows in (student, teacher)))
        if any(len(flow) != 2 for flow in (*student, *teacher)):
            raise ValueError("a flow goes from one tap to another: [first, second]")
        self.flows = [(*mine, *theirs) for mine, theirs in zip(student, teacher, strict=True)]
        self.student_features = tuple(dict.fromkeys(tap for flow in student for tap in flow))
        self.teacher_features = tuple(dict.fromkeys(tap for flow in teacher for tap in flow))
        self.adapters = nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make a convolution for each end of a flow whose channels are not the teacher's."""
        for first, second, other_first, other_second in self.flows:
            for mine, theirs in ((first, other_first), (second, other_second)):
                inputs, outputs = student[mine].shape[1], teacher[theirs].shape[1]
                same = inputs == outputs
                self.adapters.append(nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        losses = []
        for number, (first, second, other_first, other_second) in enumerate(self.flows):
            enter, leave = self.adapters[2 * number], self.adapters[2 * number + 1]
            mine = flow(enter(student[first]), leave(student[second]))
            theirs = flow(teacher[other_first], teacher[other_second])
            losses.append((mine - theirs).square().sum((1, 2)).mean())
        return torch.stack(losses).sum()


def flow(first: Tensor, second: Tensor) -> Tensor:
    """The FSP matrix `(B, C, D)` of `(B, C, H, W)` and `(B, D, H, W)`."""
    size = [min(sides) for sides in zip(first.shape[2:], second.shape[2:], strict=True)]
    first, second = _pooled(first, size), _pooled(second, size)
    return first.flatten(2) @ second.flatten(2).transpose(1, 2) / (size[0] * size[1])


def _pooled(feature: Tensor, size: list[int]) -> Tensor:
    """Max-pooled to a size; where it divides, by the pooling whose gradient is the same at every run on a GPU too."""
    if list(feature.shape[2:]) == size:
        return feature
    windows = [side // small for side, small in zip(feature.shape[2:], size, strict=True)]
    if [window * small for window, small in zip(windows, size, strict=True)] == list(feature.shape[2:]):
        return F.max_pool2d(feature, windows)
    return F.adaptive_max_pool2d(feature, size)
