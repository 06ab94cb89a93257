"""NKD."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import check_temperature
from harness.models.outputs import ModelOutputs


class NKD(nn.Module):
    """`-1/B sum_i (p_y log q_y + gamma T^2 sum_(c != y) n(p_T)_c log n(q_T)_c)`; logits `(B, C)`.

    p and q are the softmax of the teacher's and the student's logits, `p_T` and `q_T` that over the temperature, n
    normalises over the classes that are not y. The paper adds cross entropy with the labels.

    Yang et al., From Knowledge Distillation to Self-Knowledge Distillation, ICCV 2023, equation 6.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float = 1.0, gamma: float = 1.5) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature, self.gamma = temperature, gamma

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        right = F.one_hot(labels, student.logits.shape[1]).bool()
        target = (teacher.logits.softmax(1) * student.logits.log_softmax(1))[right]
        mine, theirs = (one.logits[~right].view(len(right), -1) / self.temperature for one in (student, teacher))
        others = (theirs.softmax(1) * mine.log_softmax(1)).sum(1)
        loss: Tensor = -(target + self.gamma * self.temperature**2 * others).mean()
        return loss
