"""MGD."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.losses.functional import paired, same_size
from harness.models.outputs import ModelOutputs


class MGD(nn.Module):
    """`sum_j 1/B sum |t - G(M a(s))|^2`: from a student's feature with random pixels blanked, the teacher's is made.

    `student` and `teacher` are lists of taps `(B, C, H, W)`, of one size in each pair. a is a learned 1x1 convolution
    where channels differ, G two learned 3x3 convolutions with a ReLU between them; M blanks each pixel of an example
    with probability `mask`, all channels of it. A sum over an example's numbers: the paper's weight is 7e-5.

    Yang et al., Masked Generative Distillation, ECCV 2022, equations 3 to 6.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: Sequence[str], teacher: Sequence[str], mask: float = 0.5) -> None:
        super().__init__()
        if not 0 <= mask < 1:
            raise ValueError(f"mask must be in [0, 1), not {mask}")
        self.student_features, self.teacher_features = paired(student, teacher)
        self.mask, self.aligners, self.generators = mask, nn.ModuleList(), nn.ModuleList()

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make a generator for each pair; raises ValueError for a pair of different sizes."""
        for mine, theirs in zip(self.student_features, self.teacher_features, strict=True):
            given, wanted = student[mine], teacher[theirs]
            same_size(mine, given, theirs, wanted)
            inputs, channels = given.shape[1], wanted.shape[1]
            self.aligners.append(nn.Identity() if inputs == channels else nn.Conv2d(inputs, channels, 1))
            first, second = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)
            self.generators.append(nn.Sequential(first, nn.ReLU(), second))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        losses = []
        for mine, theirs, aligner, generator in zip(
            self.student_features, self.teacher_features, self.aligners, self.generators, strict=True
        ):
            aligned, wanted = aligner(student[mine]), teacher[theirs]
            seen = torch.rand_like(aligned[:, :1]) >= self.mask
            losses.append((generator(aligned * seen) - wanted).square().sum() / len(wanted))
        return torch.stack(losses).sum()
