"""Mean squared errors: with the labels of a regression, and with a teacher's logits."""

from torch import Tensor
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.models.outputs import ModelOutputs


class MSE(Loss):
    """Mean squared error of the one output `(B, 1)` of a regression with its targets `(B,)`.

    `1/B sum_i (s_i - y_i)^2`
    """

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        return F.mse_loss(student.logits.squeeze(-1), labels)


class LogitMSE(Loss):
    """Mean squared error of the student's logits `(B, C)` with the teacher's.

    `1/(BC) sum_ic (s_ic - t_ic)^2`

    The paper has a sum over classes and a factor 1/2.

    Paper:
        Ba and Caruana, Do Deep Nets Really Need to be Deep?, NeurIPS 2014, equation 1.
    """

    needs_teacher = True

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        return F.mse_loss(student.logits, teacher.logits)
