"""DIST."""

from torch import Tensor, nn

from harness.losses.functional import check_temperature, pearson
from harness.models.outputs import ModelOutputs


class DIST(nn.Module):
    """`T^2 (beta mean_i (1 - r(p_i, q_i)) + gamma mean_c (1 - r(p_c, q_c)))`; logits `(B, C)`.

    p and q are the softmax of the student's and the teacher's logits over T, r is Pearson's correlation: of rows (the
    classes of an example), then of columns (a class over the batch). Of one row columns have no correlation: 0.

    Huang et al., Knowledge Distillation from A Stronger Teacher, NeurIPS 2022, equations 8 to 10.
    """

    needs_teacher = True
    needs_whole_batch = True

    def __init__(self, *, temperature: float = 1.0, beta: float = 1.0, gamma: float = 1.0) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature, self.beta, self.gamma = temperature, beta, gamma

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        mine, theirs = ((one.logits / self.temperature).softmax(1) for one in (student, teacher))
        between = 1 - pearson(mine, theirs, dim=1).mean()
        within = 1 - pearson(mine, theirs, dim=0).mean()
        loss: Tensor = self.temperature**2 * (self.beta * between + self.gamma * within)
        return loss
