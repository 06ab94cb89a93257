"""DIST+."""

from torch import Tensor, nn

from harness.losses.functional import check_temperature, fitted, pearson
from harness.models.outputs import ModelOutputs


class DISTPlus(nn.Module):
    """`DIST(s, t) + iota mean (1 - r_c(f, g)) + kappa mean (1 - r_b(sum_c f, sum_c g))`; logits `(B, C)`.

    DIST is `T^2 (beta mean_i (1 - r(p_i, q_i)) + gamma mean_c (1 - r(p_c, q_c)))` of the softmax over T, by rows and by
    columns. r_c is Pearson's correlation over the channels of each pixel of the features f and g, taps `(B, D, H, W)`;
    r_b the one over the batch, pixel by pixel, of their sums over channels. Where shapes differ, a learned regressor
    stands before the student's feature.

    Huang et al., DIST+: Knowledge Distillation From a Stronger Adaptive Teacher, TPAMI 2025.
    """

    needs_teacher = True
    needs_whole_batch = True

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
        self.adapter: nn.Module | None = None

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the regressor, if the shapes need one."""
        self.adapter = fitted(student[self.student_features[0]], teacher[self.teacher_features[0]])

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.adapter is not None
        p, q = ((one.logits / self.temperature).softmax(1) for one in (student, teacher))
        f, g = self.adapter(student[self.student_features[0]]), teacher[self.teacher_features[0]]
        parts = (
            pearson(p, q, dim=1), pearson(p, q, dim=0),
            pearson(f, g, dim=1), pearson(f.sum(1).flatten(1), g.sum(1).flatten(1), dim=0),
        )  # fmt: skip
        loss: Tensor = sum(weight * (1 - part.mean()) for weight, part in zip(self.weights, parts, strict=True))  # type: ignore[assignment]
        return loss
