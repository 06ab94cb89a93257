"""DKD."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import check_temperature, divergence
from harness.models.outputs import ModelOutputs


class DKD(nn.Module):
    """`T^2 (alpha TCKD + beta NCKD)`, means over the batch; logits `(B, C)`.

    TCKD is `KL(b_t || b_s)`, b the softmax over T of the right class against all others together; NCKD is `KL(p_t ||
    p_s)`, p the softmax over T among the others. With `alpha = 1` and `beta = 1 - p_t[y]` it would be `KD`.

    Zhao et al., Decoupled Knowledge Distillation, CVPR 2022, equation 7.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float = 4.0, alpha: float = 1.0, beta: float = 8.0) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature, self.alpha, self.beta = temperature, alpha, beta

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        right = F.one_hot(labels, student.logits.shape[1]).bool()
        mine, theirs = student.logits / self.temperature, teacher.logits / self.temperature
        target = divergence(_binary(mine, right), _binary(theirs, right)).mean()
        others = divergence(_others(mine, right), _others(theirs, right)).mean()
        loss: Tensor = self.temperature**2 * (self.alpha * target + self.beta * others)
        return loss


def _binary(logits: Tensor, right: Tensor) -> Tensor:
    """Logits `(B, 2)`: of the right class, and of all others together."""
    others = logits.masked_fill(right, -torch.inf).logsumexp(1)
    return torch.stack([logits[right], others], dim=1)


def _others(logits: Tensor, right: Tensor) -> Tensor:
    """The logits of the other classes, `(B, C - 1)`."""
    return logits[~right].view(len(logits), -1)
