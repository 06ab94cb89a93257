"""Knowledge distillation."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import check_alpha, check_temperature, divergence
from harness.models.outputs import ModelOutputs


class KD(nn.Module):
    """`alpha CE(s, y) + (1 - alpha) T^2 KL(softmax(t / T) || softmax(s / T))`, means over the batch; logits `(B, C)`.

    The factor T^2 keeps the gradient of the soft part of the same size whatever the temperature.

    Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, section 2.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float, alpha: float) -> None:
        super().__init__()
        check_temperature(temperature)
        check_alpha(alpha)
        self.alpha, self.temperature = alpha, temperature

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        hard = F.cross_entropy(student.logits, labels)
        soft = self.temperature**2 * divergence(student.logits, teacher.logits, self.temperature).mean()
        loss: Tensor = self.alpha * hard + (1 - self.alpha) * soft
        return loss
