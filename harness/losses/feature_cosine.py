"""The cosine distance of features, a building block."""

from torch import Tensor, nn

from harness.losses.functional import fitted, unit
from harness.models.outputs import ModelOutputs


class FeatureCosine(nn.Module):
    """`1/B sum_i (1 - cos(s_i, t_i))` of two taps, flattened to `(B, D)`; where widths differ, of `r(s)`, r linear."""

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: str, teacher: str) -> None:
        super().__init__()
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.adapter: nn.Module | None = None

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the linear layer, if the widths need one."""
        self.adapter = fitted(student[self.student_features[0]].flatten(1), teacher[self.teacher_features[0]].flatten(1))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.adapter is not None
        mine = self.adapter(student[self.student_features[0]].flatten(1))
        return 1 - (unit(mine) * unit(teacher[self.teacher_features[0]].flatten(1))).sum(1).mean()
