"""Probabilistic knowledge transfer (PKT)."""

from torch import Tensor

from harness.losses.base import Loss
from harness.models.outputs import ModelOutputs


class PKT(Loss):
    """Divergence between the neighbor probabilities of the examples of a batch.

    `1/B^2 sum_ij p_ij log((p_ij + eps) / (q_ij + eps))`

    `p_ij = k(t_i, t_j) / sum_j k(t_i, t_j)` for the teacher's features `(B, D)`; q is the same for the student's. The
    kernel k is half of one plus the cosine. Features of more dimensions are flattened; D may differ.

    The mean is over all pairs, including each row with itself, as in the authors' code.

    Paper:
        Passalis and Tefas, Learning Deep Representations with Probabilistic Knowledge Transfer, ECCV 2018, equation 7.

    Args:
        student: Feature path of the student.
        teacher: Feature path of the teacher.
        eps: Added to norms and probabilities.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(self, *, student: str, teacher: str, eps: float = 1e-7) -> None:
        super().__init__()
        self.student_features, self.teacher_features, self.eps = (student,), (teacher,), eps

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        q = self._neighbor_probabilities(student[self.student_features[0]])
        p = self._neighbor_probabilities(teacher[self.teacher_features[0]])
        loss: Tensor = (p * ((p + self.eps) / (q + self.eps)).log()).mean()
        return loss

    def _neighbor_probabilities(self, feature: Tensor) -> Tensor:
        flat = feature.flatten(1)
        directions = flat / (flat.norm(dim=1, keepdim=True) + self.eps)
        kernel = (directions @ directions.T + 1) / 2
        probabilities: Tensor = kernel / kernel.sum(1, keepdim=True)
        return probabilities
