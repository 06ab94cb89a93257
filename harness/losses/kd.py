"""Knowledge distillation: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, section 2."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.kl import KL
from harness.observation import Observation


class KD(nn.Module):
    """`alpha CE(s, y) + (1 - alpha) T^2 KL(softmax(t / T) || softmax(s / T))`, means over the batch; logits `(B, C)`.

    The factor T^2 keeps the gradient of the soft part of the same size whatever the temperature.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float, alpha: float) -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], not {alpha}")
        self.alpha, self.soft = alpha, KL(temperature=temperature)

    def forward(self, student: Observation, teacher: Observation | None, labels: Tensor) -> Tensor:
        hard = F.cross_entropy(student.logits, labels)
        soft = self.soft.temperature**2 * self.soft(student, teacher, labels)
        loss: Tensor = self.alpha * hard + (1 - self.alpha) * soft
        return loss
