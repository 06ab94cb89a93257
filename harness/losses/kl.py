"""Kullback-Leibler divergence from a teacher's softened predictions."""

from torch import Tensor

from harness.losses.base import Loss
from harness.losses.functional import check_temperature, kl_divergence
from harness.models.outputs import ModelOutputs


class KL(Loss):
    """Kullback-Leibler divergence of the student's predictions from the teacher's.

    `1/B sum_i KL(softmax(t_i / T) || softmax(s_i / T))`

    Logits are `(B, C)`. Unlike `KD`, this loss has no factor T^2.

    Args:
        temperature: T.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float = 1.0) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        return kl_divergence(student.logits, teacher.logits, self.temperature).mean()
