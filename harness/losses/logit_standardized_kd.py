"""Logit standardisation."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import check_alpha, check_temperature, divergence
from harness.models.outputs import ModelOutputs


class LogitStandardizedKD(nn.Module):
    """`alpha CE(s, y) + (1 - alpha) T^2 KL(softmax(Z(t) / T) || softmax(Z(s) / T))`, means over the batch.

    `Z(x) = (x - mean(x)) / (eps + std(x))` over the C logits of a row `(B, C)`; the deviation divides by C -
    `correction`: 1 as in the authors' code, 0 as in their algorithm.

    Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024, algorithm 1.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float, alpha: float, eps: float = 1e-7, correction: int = 1) -> None:
        super().__init__()
        check_temperature(temperature)
        check_alpha(alpha)
        self.temperature, self.alpha, self.eps, self.correction = temperature, alpha, eps, correction

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        hard = F.cross_entropy(student.logits, labels)
        mine, theirs = self._standardized(student.logits), self._standardized(teacher.logits)
        loss: Tensor = self.alpha * hard
        return loss + (1 - self.alpha) * self.temperature**2 * divergence(mine, theirs, self.temperature).mean()

    def _standardized(self, logits: Tensor) -> Tensor:
        centred = logits - logits.mean(-1, keepdim=True)
        return centred / (self.eps + logits.std(-1, keepdim=True, correction=self.correction))
