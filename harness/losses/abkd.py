"""ABKD."""

from torch import Tensor, nn

from harness.losses.functional import check_temperature
from harness.models.outputs import ModelOutputs


class ABKD(nn.Module):
    """`-T^2/(a b) 1/B sum_i sum_c p^a q^b - a/(a+b) p^(a+b) - b/(a+b) q^(a+b)`; logits `(B, C)`.

    p and q are the softmax of the teacher's and the student's logits over T, a is `alpha` and b is `beta`, none of
    them and not their sum zero. Towards a = 1 and b = 0 it is KL(p || q), towards a = 0 and b = 1 KL(q || p).

    Wang et al., Pursuing a Proper Allocation of the Probability Mass in Knowledge Distillation, ICML 2025.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float = 4.0, alpha: float = 0.8, beta: float = 0.2) -> None:
        super().__init__()
        check_temperature(temperature)
        if not alpha or not beta or not alpha + beta:
            raise ValueError(f"alpha, beta and their sum must not be 0: {alpha}, {beta}")
        self.temperature, self.alpha, self.beta = temperature, alpha, beta

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        a, b = self.alpha, self.beta
        log_q, log_p = ((one.logits / self.temperature).log_softmax(1) for one in (student, teacher))
        mixed = (a * log_p + b * log_q).exp()
        alone = (a * ((a + b) * log_p).exp() + b * ((a + b) * log_q).exp()) / (a + b)
        loss: Tensor = -(self.temperature**2) / (a * b) * (mixed - alone).sum(1).mean()
        return loss
