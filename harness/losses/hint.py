"""FitNets."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import regressor
from harness.models.outputs import ModelOutputs


class Hint(nn.Module):
    """`1/n |r(f_s) - f_t|^2` over all n numbers: a student's layer, through a learned regressor r, against a teacher's.

    `student` and `teacher` are taps, both of shape `(B, C, H, W)`, `(B, T, D)` or `(B, D)`. The
    regressor is made for the shapes that are seen: a convolution whose kernel fits the one size to the other, as in the
    paper (3x3 in steps of two where one is half the other), or a linear layer on the last dimension. A mean where the
    paper has half the sum; without the paper's nonlinearity after the regressor.

    Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015, equation 3.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: str, teacher: str) -> None:
        super().__init__()
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.regressor: nn.Module | None = None

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the regressor for the shapes seen; raises ValueError where none can lead from one to the other."""
        self.regressor = regressor(student[self.student_features[0]], teacher[self.teacher_features[0]])

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.regressor is not None
        return F.mse_loss(self.regressor(student[self.student_features[0]]), teacher[self.teacher_features[0]])
