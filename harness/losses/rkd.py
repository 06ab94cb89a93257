"""Relational knowledge distillation (RKD)."""

from torch import Tensor
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import unit_vectors
from harness.models.outputs import ModelOutputs


class RKD(Loss):
    """Huber loss between the distances and angles of the examples of a batch.

    `distance mean_ij h(d(t_i, t_j), d(s_i, s_j)) + angle mean_ijk h(a(t_i, t_j, t_k), a(s_i, s_j, s_k))`

    h is the Huber loss with delta 1. d is the Euclidean distance divided by the mean of all distances that are not 0. a
    is the cosine of the angle at the second point. Features are `(B, D)`; others are flattened, and D may differ.

    The means are over all pairs and triples, including those of a row with itself, as in the authors' code. A batch of
    one row has no relations: the loss is 0.

    Paper:
        Park et al., Relational Knowledge Distillation, CVPR 2019, equations 4 to 9.

    Args:
        student: Feature path of the student.
        teacher: Feature path of the teacher.
        distance: Weight of the distances.
        angle: Weight of the angles.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(self, *, student: str, teacher: str, distance: float = 25.0, angle: float = 50.0) -> None:
        super().__init__()
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.distance, self.angle = distance, angle

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        s, t = student[self.student_features[0]].flatten(1), teacher[self.teacher_features[0]].flatten(1)
        distance = F.smooth_l1_loss(distances(s), distances(t))
        loss: Tensor = self.distance * distance + self.angle * F.smooth_l1_loss(angles(s), angles(t))
        return loss


def distances(points: Tensor) -> Tensor:
    """Return the Euclidean distances `(B, B)` of points `(B, D)`, divided by the mean of those that are not 0."""
    norms = points.square().sum(1)
    squares = (norms[:, None] + norms[None] - 2 * points @ points.T).clamp_min(1e-12)
    off_diagonal = 1 - squares.new_zeros(len(points)).add(1).diag()
    roots = squares.sqrt() * off_diagonal
    mean = roots.sum() / off_diagonal.sum().clamp_min(1)
    return roots / mean.clamp_min(1e-12)


def angles(points: Tensor) -> Tensor:
    """Return the cosines `(B, B, B)` of the angles at each of the points `(B, D)` between any two of them."""
    directions = unit_vectors(points[None] - points[:, None])
    return directions @ directions.transpose(1, 2)
