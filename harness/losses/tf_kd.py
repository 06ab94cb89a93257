"""Tf-KD.

With a virtual teacher it is `VirtualTeacher`; self-distillation is `KD` with a trained copy of the student as teacher.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import check_alpha, check_temperature, divergence
from harness.models.outputs import ModelOutputs


class VirtualTeacher(nn.Module):
    """`(1 - alpha) CE(s, y) + alpha KL(p_T || softmax(s / T))`, equations 8 and 9; logits `(B, C)`.

    The virtual teacher p gives `correct` to the right class and the rest evenly to the others; `p_T` is `p^(1/T)`,
    normalised. No network teaches, and there is no factor T^2. The authors' code takes the softmax of `p / T` instead.

    Yuan et al., Revisiting Knowledge Distillation via Label Smoothing Regularization, CVPR 2020.
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
        right = F.one_hot(labels, logits.shape[1]).bool()
        rest = (1 - self.correct) / (logits.shape[1] - 1)
        virtual = torch.where(right, self.correct, rest).log().to(logits)
        soft = divergence(logits, virtual, self.temperature).mean()
        loss: Tensor = (1 - self.alpha) * F.cross_entropy(logits, labels) + self.alpha * soft
        return loss
