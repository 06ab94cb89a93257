"""TTM."""

from torch import Tensor, nn

from harness.losses.functional import check_temperature, divergence
from harness.models.outputs import ModelOutputs


class TTM(nn.Module):
    """`1/B sum_i u_i KL(softmax(t_i / T) || softmax(s_i))`: the temperature is the teacher's alone; logits `(B, C)`.

    `u = 1`; with `weighted` (WTTM) `u_i = sum_c p_ic^(1/T)`, p the teacher's softmax: the smoother it is, the more it
    counts. The paper adds cross entropy with the labels.

    Zheng and Yang, Knowledge Distillation Based on Transformed Teacher Matching, ICLR 2024, equations 9 and 14.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float = 4.0, weighted: bool = False) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature, self.weighted = temperature, weighted

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        diverged = divergence(student.logits, teacher.logits / self.temperature)
        if self.weighted:
            diverged = diverged * teacher.logits.softmax(1).pow(1 / self.temperature).sum(1)
        return diverged.mean()
