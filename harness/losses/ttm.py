"""Transformed teacher matching (TTM)."""

from torch import Tensor

from harness.losses.base import Loss
from harness.losses.functional import check_temperature, kl_divergence
from harness.models.outputs import ModelOutputs


class TTM(Loss):
    """Divergence of the student's predictions from the teacher's softened ones; the student has no temperature.

    `1/B sum_i u_i KL(softmax(t_i / T) || softmax(s_i))`

    Logits are `(B, C)`. The weight u is 1; with `weighted` (WTTM) it is `u_i = sum_c p_ic^(1/T)`, p the teacher's
    softmax, which is larger for smoother predictions. The paper adds the cross-entropy with the labels: use
    `CrossEntropy` as a second term.

    Paper:
        Zheng and Yang, Knowledge Distillation Based on Transformed Teacher Matching, ICLR 2024, equations 9 and 14.

    Args:
        temperature: T.
        weighted: Whether to weight rows (WTTM).
    """

    needs_teacher = True

    def __init__(self, *, temperature: float = 4.0, weighted: bool = False) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature, self.weighted = temperature, weighted

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        divergences = kl_divergence(student.logits, teacher.logits / self.temperature)
        if self.weighted:
            divergences = divergences * teacher.logits.softmax(1).pow(1 / self.temperature).sum(1)
        return divergences.mean()
