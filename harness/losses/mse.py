"""Mean squared error, with the labels of a regression or with a teacher's logits."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.outputs import ModelOutputs


class MSE(nn.Module):
    """`1/B sum_i (s_i - y_i)^2`: the one output of a regression, `(B, 1)`, against its targets `(B,)`."""

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        return F.mse_loss(student.logits.squeeze(-1), labels)


class LogitMSE(nn.Module):
    """`1/(BC) sum_ic (s_ic - t_ic)^2`: logits `(B, C)` against a teacher's.

    Ba and Caruana, Do Deep Nets Really Need to be Deep?, NeurIPS 2014, equation 1, as a mean over classes and
    without the factor 1/2.
    """

    needs_teacher = True

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        return F.mse_loss(student.logits, teacher.logits)
