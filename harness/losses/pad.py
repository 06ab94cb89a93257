"""Prime-aware adaptive distillation (PAD)."""

from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import adapter_for
from harness.models.outputs import ModelOutputs


class PAD(Loss):
    """Squared distance of features, weighted by a learned variance of each example.

    `mean (t_id - s_id)^2 / (eps + exp(v_id)) + v_id`

    s and t are the features before the classifiers, flattened to `(B, D)`. v is the logarithm of the variance of
    example i: a learned linear layer with BatchNorm of the student's feature, which needs two rows to train. Where
    widths differ, a learned linear layer maps the student's feature to the teacher's width.

    Paper:
        Zhang et al., Prime-Aware Adaptive Distillation, ECCV 2020, equation 5, on the L2 distance of features.

    Args:
        student: Feature path of the student.
        teacher: Feature path of the teacher.
        eps: Added to the variance.
    """

    needs_teacher = True
    needs_two_rows = True
    reads_logits = False

    adapter: nn.Module
    log_variance: nn.Module

    def __init__(self, *, student: str, teacher: str, eps: float = 1e-6) -> None:
        super().__init__()
        self.student_features, self.teacher_features, self.eps = (student,), (teacher,), eps

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create the layer of the variance, and the adapter if widths differ."""
        student_feature, teacher_feature = student[self.student_features[0]], teacher[self.teacher_features[0]]
        width = teacher_feature.flatten(1).shape[1]
        self.adapter = adapter_for(student_feature.flatten(1), teacher_feature.flatten(1))
        self.log_variance = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        adapted = self.adapter(student[self.student_features[0]].flatten(1))
        log_variance = self.log_variance(adapted)
        squares = (teacher[self.teacher_features[0]].flatten(1) - adapted).square()
        loss: Tensor = (squares / (self.eps + log_variance.exp()) + log_variance).mean()
        return loss
