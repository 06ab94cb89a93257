"""Kullback-Leibler divergence from a teacher's softened distribution to the student's."""

from torch import Tensor, nn

from harness.losses.functional import check_temperature, divergence
from harness.models.outputs import ModelOutputs


class KL(nn.Module):
    """`1/B sum_i KL(softmax(t_i / T) || softmax(s_i / T))`; logits `(B, C)`. No factor T^2: `KD` has that."""

    needs_teacher = True

    def __init__(self, *, temperature: float = 1.0) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        return divergence(student.logits, teacher.logits, self.temperature).mean()
