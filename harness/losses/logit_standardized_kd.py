"""Logit standardization in knowledge distillation."""

from torch import Tensor
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import check_alpha, check_temperature, kl_divergence
from harness.models.outputs import ModelOutputs


class LogitStandardizedKD(Loss):
    """Knowledge distillation with standardized logits.

    `alpha CE(s, y) + (1 - alpha) T^2 KL(softmax(Z(t) / T) || softmax(Z(s) / T))`

    Both parts are means over the batch. `Z(x) = (x - mean(x)) / (eps + std(x))` over the C logits of a row `(B, C)`.

    Paper:
        Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024, algorithm 1.

    Args:
        temperature: T.
        alpha: Weight of the labels, in [0, 1].
        eps: Added to the standard deviation.
        correction: The standard deviation divides by C - `correction`: 1 as in the authors' code, 0 as in their
            algorithm.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float, alpha: float, eps: float = 1e-7, correction: int = 1) -> None:
        super().__init__()
        check_temperature(temperature)
        check_alpha(alpha)
        self.temperature, self.alpha, self.eps, self.correction = temperature, alpha, eps, correction

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        hard = F.cross_entropy(student.logits, labels)
        s, t = self._standardized(student.logits), self._standardized(teacher.logits)
        loss: Tensor = self.alpha * hard
        return loss + (1 - self.alpha) * self.temperature**2 * kl_divergence(s, t, self.temperature).mean()

    def _standardized(self, logits: Tensor) -> Tensor:
        centered = logits - logits.mean(-1, keepdim=True)
        return centered / (self.eps + logits.std(-1, keepdim=True, correction=self.correction))
