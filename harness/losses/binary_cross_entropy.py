"""Binary cross-entropy for multi-label classification."""

from torch import Tensor
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.models.outputs import ModelOutputs


class BinaryCrossEntropy(Loss):
    """Binary cross-entropy of each class with its label.

    `-1/(BC) sum_ic y_ic log p_ic + (1 - y_ic) log(1 - p_ic)`

    p is the sigmoid of the logits `(B, C)`; the labels y `(B, C)` are floats.
    """

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(student.logits, labels)
