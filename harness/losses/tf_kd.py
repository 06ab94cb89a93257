"""Teacher-free knowledge distillation (Tf-KD).

`VirtualTeacher` needs no teacher network. For self-distillation, use `KD` with a trained copy of the student as
teacher.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import check_alpha, check_temperature, kl_divergence
from harness.models.outputs import ModelOutputs


class VirtualTeacher(Loss):
    """Knowledge distillation from a hand-made distribution instead of a teacher network.

    `(1 - alpha) CE(s, y) + alpha KL(p_T || softmax(s / T))`

    Logits are `(B, C)`. The virtual teacher p gives the probability `correct` to the right class and the rest evenly to
    the others. `p_T` is `p^(1/T)`, normalized; the authors' code takes the softmax of `p / T` instead. There is no
    factor T^2.

    Paper:
        Yuan et al., Revisiting Knowledge Distillation via Label Smoothing Regularization, CVPR 2020, equations 8 and 9.

    Args:
        alpha: Weight of the virtual teacher, in [0, 1].
        temperature: T.
        correct: Probability of the right class, in (0, 1).
    """

    def __init__(self, *, alpha: float = 0.1, temperature: float = 20.0, correct: float = 0.99) -> None:
        super().__init__()
        check_alpha(alpha)
        check_temperature(temperature)
        if not 0 < correct < 1:
            raise ValueError(f"correct must be in (0, 1), not {correct}")
        self.alpha, self.temperature, self.correct = alpha, temperature, correct

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        logits = student.logits
        target = F.one_hot(labels, logits.shape[1]).bool()
        rest = (1 - self.correct) / (logits.shape[1] - 1)
        virtual = torch.where(target, self.correct, rest).log().to(logits)
        soft = kl_divergence(logits, virtual, self.temperature).mean()
        loss: Tensor = (1 - self.alpha) * F.cross_entropy(logits, labels) + self.alpha * soft
        return loss
