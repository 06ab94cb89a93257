"""RKD."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import unit
from harness.models.outputs import ModelOutputs


class RKD(nn.Module):
    """`distance mean_ij h(d(t_i, t_j), d(s_i, s_j)) + angle mean_ijk h(a(t_i, t_j, t_k), a(s_i, s_j, s_k))`.

    h is Huber's loss with its bend at 1, d a Euclidean distance over the mean of all that are not zero, a the cosine of
    the angle at the second point. Features `(B, D)`, others flattened; D may differ. Means over all pairs and triples,
    those of a row with itself included, as in the authors' code. A batch of one row has no relations: 0.

    Park et al., Relational Knowledge Distillation, CVPR 2019, equations 4 to 9.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(self, *, student: str, teacher: str, distance: float = 25.0, angle: float = 50.0) -> None:
        super().__init__()
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.distance, self.angle = distance, angle

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        mine, theirs = student[self.student_features[0]].flatten(1), teacher[self.teacher_features[0]].flatten(1)
        distance = F.smooth_l1_loss(distances(mine), distances(theirs))
        loss: Tensor = self.distance * distance + self.angle * F.smooth_l1_loss(angles(mine), angles(theirs))
        return loss


def distances(points: Tensor) -> Tensor:
    """`(B, B)`: Euclidean distances of `(B, D)`, over the mean of those that are not zero."""
    squares = points.square().sum(1)
    squared = (squares[:, None] + squares[None] - 2 * points @ points.T).clamp_min(1e-12)
    apart = 1 - squared.new_zeros(len(points)).add(1).diag()
    found = squared.sqrt() * apart
    mean = found.sum() / apart.sum().clamp_min(1)
    return found / mean.clamp_min(1e-12)


def angles(points: Tensor) -> Tensor:
    """`(B, B, B)`: the cosines of the angles at each of `(B, D)` between any two."""
    directions = unit(points[None] - points[:, None])
    return directions @ directions.transpose(1, 2)
