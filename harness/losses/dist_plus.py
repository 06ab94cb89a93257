"""Distillation from a stronger, adaptive teacher (DIST+)."""

from torch import Tensor, nn

from harness.losses.base import Loss
from harness.losses.functional import adapter_for, check_temperature, pearson_correlation
from harness.models.outputs import ModelOutputs


class DISTPlus(Loss):
    """DIST, plus the correlation of features over channels and over the batch.

    `DIST(s, t) + iota mean (1 - r_c(f, g)) + kappa mean (1 - r_b(sum_c f, sum_c g))`

    DIST is `T^2 (beta mean_i (1 - r(p_i, q_i)) + gamma mean_c (1 - r(p_c, q_c)))`, p and q the softmax of the logits
    `(B, C)` over T, correlated by rows and by columns. f and g are features `(B, D, H, W)` of student and teacher. r_c
    is Pearson's correlation over the channels of each pixel; r_b is the correlation over the batch, pixel by pixel, of
    the sums over channels. Where shapes differ, a learned regressor maps the student's feature to the teacher's shape.

    Paper:
        Huang et al., DIST+: Knowledge Distillation From a Stronger Adaptive Teacher, TPAMI 2025.

    Args:
        student: Feature path of the student.
        teacher: Feature path of the teacher.
        temperature: T.
        beta: Weight of the correlation of rows of the predictions.
        gamma: Weight of the correlation of columns of the predictions.
        iota: Weight of the correlation of features over channels.
        kappa: Weight of the correlation of features over the batch.
    """

    needs_teacher = True
    needs_whole_batch = True

    adapter: nn.Module

    def __init__(
        self,
        *,
        student: str,
        teacher: str,
        temperature: float = 1.0,
        beta: float = 1.0,
        gamma: float = 1.0,
        iota: float = 1.0,
        kappa: float = 1.0,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.temperature = temperature
        self.weights = (temperature**2 * beta, temperature**2 * gamma, iota, kappa)

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create the regressor if the shapes need one."""
        self.adapter = adapter_for(student[self.student_features[0]], teacher[self.teacher_features[0]])

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        p, q = ((outputs.logits / self.temperature).softmax(1) for outputs in (student, teacher))
        f, g = self.adapter(student[self.student_features[0]]), teacher[self.teacher_features[0]]
        correlations = (
            pearson_correlation(p, q, dim=1),
            pearson_correlation(p, q, dim=0),
            pearson_correlation(f, g, dim=1),
            pearson_correlation(f.sum(1).flatten(1), g.sum(1).flatten(1), dim=0),
        )
        terms = [weight * (1 - r.mean()) for weight, r in zip(self.weights, correlations, strict=True)]
        loss: Tensor = sum(terms)  # type: ignore[assignment]
        return loss
