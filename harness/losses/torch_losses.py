"""Use losses of torch in recipes: they take logits and labels."""

from torch import Tensor, nn

from harness.losses.base import Loss
from harness.models.outputs import ModelOutputs
from zoo.trusted_code import is_part_of


class TorchLoss(Loss):
    """A loss of `torch.nn` between the logits of the student and the labels.

    Logits are `(B, C)` or `(B, C, H, W)` with class numbers, or `(B, 1)` with the targets `(B,)` of a regression.

    Args:
        loss: The loss, which takes the mean over a batch.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def denominator(self, labels: Tensor) -> float:
        ignored = getattr(self.loss, "ignore_index", None)
        return len(labels) if ignored is None else float((labels != ignored).sum())

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        is_regression = labels.is_floating_point() and labels.dim() < student.logits.dim()
        logits = student.logits.squeeze(-1) if is_regression else student.logits
        value: Tensor = self.loss(logits, labels)
        return value


def adapted(loss: nn.Module) -> nn.Module:
    """Return a loss that takes student, teacher and labels: one of torch is wrapped, any other is returned as it is."""
    return TorchLoss(loss) if is_part_of(type(loss).__module__, ("torch.nn",)) else loss
