"""Alpha-beta knowledge distillation (ABKD)."""

from torch import Tensor

from harness.losses.base import Loss
from harness.losses.functional import check_temperature
from harness.models.outputs import ModelOutputs


class ABKD(Loss):
    """Alpha-beta divergence of the student's predictions from the teacher's.

    `-T^2/(a b) 1/B sum_i sum_c p^a q^b - a/(a+b) p^(a+b) - b/(a+b) q^(a+b)`

    p and q are the softmax of the teacher's and the student's logits `(B, C)` over T. As a -> 1 and b -> 0 the loss
    becomes KL(p || q); as a -> 0 and b -> 1 it becomes KL(q || p).

    Paper:
        Wang et al., Pursuing a Proper Allocation of the Probability Mass in Knowledge Distillation, ICML 2025.

    Args:
        temperature: T.
        alpha: a, not 0.
        beta: b, not 0; a + b must not be 0 either.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float = 4.0, alpha: float = 0.8, beta: float = 0.2) -> None:
        super().__init__()
        check_temperature(temperature)
        if not alpha or not beta or not alpha + beta:
            raise ValueError(f"alpha, beta and their sum must not be 0, but alpha = {alpha} and beta = {beta}")
        self.temperature, self.alpha, self.beta = temperature, alpha, beta

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        a, b = self.alpha, self.beta
        log_q, log_p = ((outputs.logits / self.temperature).log_softmax(1) for outputs in (student, teacher))
        product = (a * log_p + b * log_q).exp()
        powers = (a * ((a + b) * log_p).exp() + b * ((a + b) * log_q).exp()) / (a + b)
        loss: Tensor = -(self.temperature**2) / (a * b) * (product - powers).sum(1).mean()
        return loss
