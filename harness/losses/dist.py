"""Distillation from a stronger teacher (DIST)."""

from torch import Tensor

from harness.losses.base import Loss
from harness.losses.functional import check_temperature, pearson_correlation
from harness.models.outputs import ModelOutputs


class DIST(Loss):
    """Correlation of the student's predictions with the teacher's, within rows and within classes.

    `T^2 (beta mean_i (1 - r(p_i, q_i)) + gamma mean_c (1 - r(p_c, q_c)))`

    p and q are the softmax of the student's and the teacher's logits `(B, C)` over T. r is Pearson's correlation: of
    rows (the classes of example i), then of columns (class c over the batch). In a batch of one row the correlation of
    columns is undefined and counts as 0.

    Paper:
        Huang et al., Knowledge Distillation from A Stronger Teacher, NeurIPS 2022, equations 8 to 10.

    Args:
        temperature: T.
        beta: Weight of the correlation of rows.
        gamma: Weight of the correlation of columns.
    """

    needs_teacher = True
    needs_whole_batch = True

    def __init__(self, *, temperature: float = 1.0, beta: float = 1.0, gamma: float = 1.0) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature, self.beta, self.gamma = temperature, beta, gamma

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        p, q = ((outputs.logits / self.temperature).softmax(1) for outputs in (student, teacher))
        rows = 1 - pearson_correlation(p, q, dim=1).mean()
        columns = 1 - pearson_correlation(p, q, dim=0).mean()
        loss: Tensor = self.temperature**2 * (self.beta * rows + self.gamma * columns)
        return loss
