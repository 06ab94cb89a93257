"""Hint training (FitNets)."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import regressor
from harness.models.outputs import ModelOutputs


class Hint(Loss):
    """Mean squared error of a student's feature, after a learned regressor, with a teacher's feature.

    `1/n |r(f_s) - f_t|^2`

    The mean is over all n numbers. Features are both `(B, C, H, W)`, `(B, T, D)` or `(B, D)`. The regressor r fits
    their shapes: a convolution whose kernel fits one size to the other, as in the paper (3x3 with stride 2 where one is
    half the other), or a linear layer on the last dimension.

    The paper has half the sum where this loss has the mean, and a nonlinearity after the regressor.

    Paper:
        Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015, equation 3.

    Args:
        student: Feature path of the student.
        teacher: Feature path of the teacher.
    """

    needs_teacher = True
    reads_logits = False

    regressor: nn.Module

    def __init__(self, *, student: str, teacher: str) -> None:
        super().__init__()
        self.student_features, self.teacher_features = (student,), (teacher,)

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create the regressor; raises ValueError if none maps the student's shape to the teacher's."""
        self.regressor = regressor(student[self.student_features[0]], teacher[self.teacher_features[0]])

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        return F.mse_loss(self.regressor(student[self.student_features[0]]), teacher[self.teacher_features[0]])
