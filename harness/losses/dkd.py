"""Decoupled knowledge distillation (DKD)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import check_temperature, kl_divergence
from harness.models.outputs import ModelOutputs


class DKD(Loss):
    """Distill the probability of the right class apart from the distribution over the other classes.

    `T^2 (alpha TCKD + beta NCKD)`

    Both parts are means over the batch, of logits `(B, C)`. TCKD is `KL(b_t || b_s)`: b is the softmax over T of the
    right class against all others together. NCKD is `KL(p_t || p_s)`: p is the softmax over T among the other classes.
    With `alpha = 1` and `beta = 1 - p_t[y]` the loss would equal the soft part of `KD`.

    Paper:
        Zhao et al., Decoupled Knowledge Distillation, CVPR 2022, equation 7.

    Args:
        temperature: T.
        alpha: Weight of TCKD.
        beta: Weight of NCKD.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float = 4.0, alpha: float = 1.0, beta: float = 8.0) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature, self.alpha, self.beta = temperature, alpha, beta

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        target = F.one_hot(labels, student.logits.shape[1]).bool()
        s, t = student.logits / self.temperature, teacher.logits / self.temperature
        tckd = kl_divergence(_target_against_others(s, target), _target_against_others(t, target)).mean()
        nckd = kl_divergence(_others(s, target), _others(t, target)).mean()
        loss: Tensor = self.temperature**2 * (self.alpha * tckd + self.beta * nckd)
        return loss


def _target_against_others(logits: Tensor, target: Tensor) -> Tensor:
    """Return logits `(B, 2)`: of the right class, and of all others together."""
    others = logits.masked_fill(target, -torch.inf).logsumexp(1)
    return torch.stack([logits[target], others], dim=1)


def _others(logits: Tensor, target: Tensor) -> Tensor:
    """Return the logits of the other classes, `(B, C - 1)`."""
    return logits[~target].view(len(logits), -1)
