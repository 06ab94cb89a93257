"""Knowledge distillation (KD)."""

from torch import Tensor
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import check_alpha, check_temperature, kl_divergence
from harness.models.outputs import ModelOutputs


class KD(Loss):
    """Knowledge distillation: cross-entropy with the labels, and divergence from the teacher's softened predictions.

    `alpha CE(s, y) + (1 - alpha) T^2 KL(softmax(t / T) || softmax(s / T))`

    Both parts are means over the batch, of logits `(B, C)`. The factor T^2 keeps the gradient of the soft part equally
    large at every temperature.

    Paper:
        Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, section 2.

    Args:
        temperature: T.
        alpha: Weight of the labels, in [0, 1].
    """

    needs_teacher = True

    def __init__(self, *, temperature: float, alpha: float) -> None:
        super().__init__()
        check_temperature(temperature)
        check_alpha(alpha)
        self.alpha, self.temperature = alpha, temperature

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        hard = F.cross_entropy(student.logits, labels)
        soft = self.temperature**2 * kl_divergence(student.logits, teacher.logits, self.temperature).mean()
        loss: Tensor = self.alpha * hard + (1 - self.alpha) * soft
        return loss
