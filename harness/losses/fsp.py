"""Flow of the solution procedure (FSP)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import feature_pairs
from harness.models.outputs import ModelOutputs


class FSP(Loss):
    """Distance between the FSP matrices of student and teacher: how features change from one layer to a later one.

    `1/B sum_i sum_j |G_j(t) - G_j(s)|_F^2`

    `G = 1/(HW) F_1 F_2^T` for two features `(B, C, H, W)` of one model; the larger is max-pooled to the size of the
    other. The paper's networks have equal widths. Where widths differ, a learned 1x1 convolution maps a student's
    feature to the teacher's channels.

    Paper:
        Yim et al., A Gift from Knowledge Distillation, CVPR 2017, equations 1 and 2.

    Args:
        student: Pairs of feature paths of the student, `[[first, second], ...]`.
        teacher: Pairs of feature paths of the teacher, in the same order.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[Sequence[str]], teacher: Sequence[Sequence[str]]) -> None:
        super().__init__()
        feature_pairs(*([path for flow in flows for path in flow] for flows in (student, teacher)))
        if any(len(flow) != 2 for flow in (*student, *teacher)):
            raise ValueError("FSP compares pairs of layers: write two feature paths per pair, [first, second]")
        self.flows = [(*pair, *teacher_pair) for pair, teacher_pair in zip(student, teacher, strict=True)]
        self.student_features = tuple(dict.fromkeys(path for flow in student for path in flow))
        self.teacher_features = tuple(dict.fromkeys(path for flow in teacher for path in flow))
        self.adapters = nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create a convolution for each feature whose channels differ from the teacher's."""
        for first, second, teacher_first, teacher_second in self.flows:
            for student_path, teacher_path in ((first, teacher_first), (second, teacher_second)):
                inputs, outputs = student[student_path].shape[1], teacher[teacher_path].shape[1]
                is_equal = inputs == outputs
                self.adapters.append(nn.Identity() if is_equal else nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        losses = []
        for number, (first, second, teacher_first, teacher_second) in enumerate(self.flows):
            adapt_first, adapt_second = self.adapters[2 * number], self.adapters[2 * number + 1]
            student_flow = fsp_matrix(adapt_first(student[first]), adapt_second(student[second]))
            teacher_flow = fsp_matrix(teacher[teacher_first], teacher[teacher_second])
            losses.append((student_flow - teacher_flow).square().sum((1, 2)).mean())
        return torch.stack(losses).sum()


def fsp_matrix(first: Tensor, second: Tensor) -> Tensor:
    """Return the FSP matrix `(B, C, D)` of features `(B, C, H, W)` and `(B, D, H, W)`."""
    size = [min(sides) for sides in zip(first.shape[2:], second.shape[2:], strict=True)]
    first, second = _pooled(first, size), _pooled(second, size)
    return first.flatten(2) @ second.flatten(2).transpose(1, 2) / (size[0] * size[1])


def _pooled(feature: Tensor, size: list[int]) -> Tensor:
    """Max-pool to a size. Where it divides the feature's, the pooling has a deterministic gradient on a GPU too."""
    if list(feature.shape[2:]) == size:
        return feature
    windows = [side // small for side, small in zip(feature.shape[2:], size, strict=True)]
    if [window * small for window, small in zip(windows, size, strict=True)] == list(feature.shape[2:]):
        return F.max_pool2d(feature, windows)
    return F.adaptive_max_pool2d(feature, size)
