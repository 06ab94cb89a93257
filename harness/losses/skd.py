"""Streamlined knowledge distillation (SKD)."""

from typing import Literal

import torch
from torch import Tensor

from harness.losses.base import Loss
from harness.losses.functional import check_choice, check_temperature, kl_divergence, safe_sqrt, unit_vectors
from harness.models.outputs import ModelOutputs

Form = Literal["paper", "code"]
FORMS = ("paper", "code")


class SKDInstance(Loss):
    """Divergence of the student's predictions from the teacher's, of each example.

    `1/B sum_i KL(softmax(t_i / T) || softmax(s_i / T))`

    Logits are `(B, C)`.

    Paper:
        Jeong, Lee and Choi, Streamlined Knowledge Distillation, CVPR 2026, equations 1 and 3 to 8.

    Args:
        temperature: T.
        form: `paper` for the equation above. `code` multiplies by T^2, and counts only the half of the rows on
            which the teacher is least certain; the other rows count as 0.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float = 4.0, form: Form = "paper") -> None:
        super().__init__()
        check_temperature(temperature)
        check_choice("form", form, FORMS)
        self.temperature, self.form = temperature, form
        self.needs_whole_batch = form == "code"

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        divergences = kl_divergence(student.logits, teacher.logits, self.temperature)
        if self.form == "paper":
            return divergences.mean()
        confidence = teacher.logits.softmax(1).amax(1)
        return (self.temperature**2 * divergences * (confidence <= confidence.quantile(0.5))).mean()


class SKDDirection(Loss):
    """Mahalanobis distance of the directions of the student's logits from the teacher's.

    `1/B sum_i sqrt(d_i^T (cov(d) + tikhonov I)^-1 d_i)`

    `d = G(s) - G(t)`, and G is the matrix `(B, B)` of the cosines of the rows of the logits `(B, C)`. The metric is the
    spread of d itself. The loss needs two rows.

    Paper:
        Jeong, Lee and Choi, Streamlined Knowledge Distillation, CVPR 2026, equations 1 and 3 to 8.

    Args:
        tikhonov: Added to the diagonal of the covariance, above 0.
        form: `paper` for the equation above. `code` divides G by C, and multiplies the loss by the share of the classes
            whose mass in the teacher's predictions is at most the median.
    """

    needs_teacher = True
    needs_whole_batch = True
    needs_two_rows = True

    def __init__(self, *, tikhonov: float = 0.1, form: Form = "paper") -> None:
        super().__init__()
        check_choice("form", form, FORMS)
        if not tikhonov > 0:
            raise ValueError(f"tikhonov must be above 0, not {tikhonov}")
        self.tikhonov, self.form = tikhonov, form

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        if len(student.logits) < 2:
            raise ValueError("SKDDirection compares rows with each other and needs two of them; the batch has one")
        scale = student.logits.shape[1] if self.form == "code" else 1
        s, t = (
            directions @ directions.T for directions in (unit_vectors(student.logits), unit_vectors(teacher.logits))
        )
        difference = (s - t) / scale
        unit = torch.eye(len(difference), device=difference.device, dtype=difference.dtype)
        covariance = torch.cov(difference.T) + self.tikhonov * unit
        squares = (difference * torch.linalg.solve(covariance, difference, left=False)).sum(1)
        distance = safe_sqrt(squares).mean()
        if self.form == "paper":
            return distance
        mass = teacher.logits.softmax(1).sum(0)
        return distance * (mass <= mass.quantile(0.5)).to(distance).mean()
