"""Cross entropy of several labels at once."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.outputs import ModelOutputs


class BinaryCrossEntropy(nn.Module):
    """`-1/(BC) sum_ic y_ic log p_ic + (1 - y_ic) log(1 - p_ic)`, p the sigmoid of the logits; both `(B, C)`, float."""

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(student.logits, labels)
