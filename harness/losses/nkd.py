"""Normalized knowledge distillation (NKD)."""

from torch import Tensor
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import check_temperature
from harness.models.outputs import ModelOutputs


class NKD(Loss):
    """Cross-entropy with the teacher's predictions: of the right class, and of the normalized other classes.

    `-1/B sum_i (p_y log q_y + gamma T^2 sum_(c != y) n(p_T)_c log n(q_T)_c)`

    p and q are the softmax of the teacher's and the student's logits `(B, C)`; `p_T` and `q_T` are the softmax over T.
    n normalizes over the classes other than y. The paper adds the cross-entropy with the labels: use `CrossEntropy` as
    a second term.

    Paper:
        Yang et al., From Knowledge Distillation to Self-Knowledge Distillation, ICCV 2023, equation 6.

    Args:
        temperature: T.
        gamma: Weight of the other classes.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float = 1.0, gamma: float = 1.5) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature, self.gamma = temperature, gamma

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        target = F.one_hot(labels, student.logits.shape[1]).bool()
        right = (teacher.logits.softmax(1) * student.logits.log_softmax(1))[target]
        s, t = (outputs.logits[~target].view(len(target), -1) / self.temperature for outputs in (student, teacher))
        others = (t.softmax(1) * s.log_softmax(1)).sum(1)
        loss: Tensor = -(right + self.gamma * self.temperature**2 * others).mean()
        return loss
