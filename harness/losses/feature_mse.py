"""The mean squared error of features, a building block: L2 in the penultimate layer, FitNets without a regressor."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import fitted
from harness.models.outputs import ModelOutputs


class FeatureMSE(nn.Module):
    """`1/n |s - t|^2` over all n numbers of two taps of one shape; where shapes differ, of `r(s)`, r learned."""

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: str, teacher: str) -> None:
        super().__init__()
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.adapter: nn.Module | None = None

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the regressor, if the shapes need one."""
        self.adapter = fitted(student[self.student_features[0]], teacher[self.teacher_features[0]])

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.adapter is not None
        return F.mse_loss(self.adapter(student[self.student_features[0]]), teacher[self.teacher_features[0]])
