"""PAD."""

from torch import Tensor, nn

from harness.losses.functional import fitted
from harness.models.outputs import ModelOutputs


class PAD(nn.Module):
    """`mean (t_id - s_id)^2 / (eps + exp(v_id)) + v_id`: v the logarithm of a variance learned for each example i.

    `student` and `teacher` are taps of the features before the classifiers, flattened to `(B, D)`; v is a linear layer
    with BatchNorm of the student's, which needs two rows to learn. Where widths differ, a learned linear layer brings
    the student's to the teacher's.

    Zhang et al., Prime-Aware Adaptive Distillation, ECCV 2020, equation 5, on the L2 distance of features.
    """

    needs_teacher = True
    needs_two_rows = True
    reads_logits = False

    def __init__(self, *, student: str, teacher: str, eps: float = 1e-6) -> None:
        super().__init__()
        self.student_features, self.teacher_features, self.eps = (student,), (teacher,), eps
        self.adapter: nn.Module | None = None
        self.log_variance: nn.Module | None = None

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the variance's layer, and the adapter where widths differ."""
        given, wanted = student[self.student_features[0]].flatten(1), teacher[self.teacher_features[0]].flatten(1)
        width = wanted.shape[1]
        self.adapter = fitted(given, wanted)
        self.log_variance = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.adapter is not None and self.log_variance is not None
        mine = self.adapter(student[self.student_features[0]].flatten(1))
        spread = self.log_variance(mine)
        squared = (teacher[self.teacher_features[0]].flatten(1) - mine).square()
        loss: Tensor = (squared / (self.eps + spread.exp()) + spread).mean()
        return loss
