"""Cosine distance of features."""

from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import adapter_for, unit_vectors
from harness.models.outputs import ModelOutputs


class FeatureCosine(Loss):
    """Cosine distance of a student's feature from a teacher's: a building block without a paper.

    `1/B sum_i (1 - cos(s_i, t_i))`

    Features are flattened to `(B, D)`. Where their widths differ, a learned linear layer maps the student's to the
    teacher's width.

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
        """Create the linear layer if the widths need one."""
        student_feature, teacher_feature = student[self.student_features[0]], teacher[self.teacher_features[0]]
        self.adapter = adapter_for(student_feature.flatten(1), teacher_feature.flatten(1))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        adapted = self.adapter(student[self.student_features[0]].flatten(1))
        target = teacher[self.teacher_features[0]].flatten(1)
        return 1 - (unit_vectors(adapted) * unit_vectors(target)).sum(1).mean()
