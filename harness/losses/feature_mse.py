"""Mean squared error of features."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import adapter_for
from harness.models.outputs import ModelOutputs


class FeatureMSE(Loss):
    """Mean squared error of a student's feature with a teacher's: a building block without a paper.

    `1/n |s - t|^2`

    The mean is over all n numbers. Where shapes differ, a learned regressor maps the student's feature to the teacher's
    shape. On the penultimate layer this is the L2 distance; with equal shapes it is FitNets without a regressor.

    Args:
        student: Feature path of the student.
        teacher: Feature path of the teacher.
    """

    needs_teacher = True
    reads_logits = False

    adapter: nn.Module

    def __init__(self, *, student: str, teacher: str) -> None:
        super().__init__()
        self.student_features, self.teacher_features = (student,), (teacher,)

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create the regressor if the shapes need one; raises ValueError if none fits."""
        self.adapter = adapter_for(student[self.student_features[0]], teacher[self.teacher_features[0]])

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        return F.mse_loss(self.adapter(student[self.student_features[0]]), teacher[self.teacher_features[0]])
