"""PKT."""

from torch import Tensor, nn

from harness.models.outputs import ModelOutputs


class PKT(nn.Module):
    """`1/B^2 sum_ij p_ij log((p_ij + eps) / (q_ij + eps))`: q of the student, p of the teacher, of features `(B, D)`.

    `p_ij = k(t_i, t_j) / sum_j k(t_i, t_j)` with k half of one plus the cosine. A mean over all pairs, those of a row
    with itself included, as in the authors' code; taps of more dimensions are flattened, and D may differ.

    Passalis and Tefas, Learning Deep Representations with Probabilistic Knowledge Transfer, ECCV 2018, eq. 7.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(self, *, student: str, teacher: str, eps: float = 1e-7) -> None:
        super().__init__()
        self.student_features, self.teacher_features, self.eps = (student,), (teacher,), eps

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        q, p = self._affinity(student[self.student_features[0]]), self._affinity(teacher[self.teacher_features[0]])
        loss: Tensor = (p * ((p + self.eps) / (q + self.eps)).log()).mean()
        return loss

    def _affinity(self, features: Tensor) -> Tensor:
        flat = features.flatten(1)
        directions = flat / (flat.norm(dim=1, keepdim=True) + self.eps)
        kernel = (directions @ directions.T + 1) / 2
        affinity: Tensor = kernel / kernel.sum(1, keepdim=True)
        return affinity
