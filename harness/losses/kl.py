"""Kullback-Leibler divergence from a teacher's softened distribution to the student's."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.observation import Observation


class KL(nn.Module):
    """`1/B sum_i KL(softmax(t_i / T) || softmax(s_i / T))`; logits `(B, C)`. No factor T^2: `KD` has that."""

    needs_teacher = True

    def __init__(self, *, temperature: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, not {temperature}")
        self.temperature = temperature

    def forward(self, student: Observation, teacher: Observation | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        target = F.log_softmax(teacher.logits / self.temperature, dim=-1)
        given = F.log_softmax(student.logits / self.temperature, dim=-1)
        return F.kl_div(given, target, reduction="batchmean", log_target=True)
