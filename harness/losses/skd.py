"""SKD."""

from typing import Literal

import torch
from torch import Tensor, nn

from harness.losses.functional import check_choice, check_temperature, divergence, root, unit
from harness.models.outputs import ModelOutputs

Form = Literal["paper", "code"]
FORMS = ("paper", "code")


class SKDInstance(nn.Module):
    """`1/B sum_i KL(softmax(t_i / T) || softmax(s_i / T))`; logits `(B, C)`.

    With `form: code` times T^2, and of the half of the rows alone that the teacher is least sure of; others count as 0.

    Jeong, Lee and Choi, Streamlined Knowledge Distillation, CVPR 2026, equations 1 and 3 to 8.
    """

    needs_teacher = True

    def __init__(self, *, temperature: float = 4.0, form: Form = "paper") -> None:
        super().__init__()
        check_temperature(temperature)
        check_choice("form", form, FORMS)
        self.temperature, self.form = temperature, form
        self.needs_whole_batch = form == "code"

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        diverged = divergence(student.logits, teacher.logits, self.temperature)
        if self.form == "paper":
            return diverged.mean()
        sure = teacher.logits.softmax(1).amax(1)
        return (self.temperature**2 * diverged * (sure <= sure.quantile(0.5))).mean()


class SKDDirection(nn.Module):
    """`1/B sum_i sqrt(d_i^T (cov(d) + tikhonov I)^-1 d_i)`, `d = G(s) - G(t)`, G the cosines of the rows, `(B, B)`.

    How far the directions of the logits `(B, C)` are from the teacher's, in the metric of their own spread. With `form:
    code` G is over C, and the loss times the share of the classes that have at most the median of the teacher's mass.
    Needs two rows.

    Jeong, Lee and Choi, Streamlined Knowledge Distillation, CVPR 2026, equations 1 and 3 to 8.
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

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None
        if len(student.logits) < 2:
            raise ValueError("SKDDirection compares rows with each other: a batch of one has none to compare with")
        scale = student.logits.shape[1] if self.form == "code" else 1
        mine, theirs = (directions @ directions.T for directions in (unit(student.logits), unit(teacher.logits)))
        difference = (mine - theirs) / scale
        spread = torch.cov(difference.T) + self.tikhonov * torch.eye(len(difference)).to(difference)
        squared = (difference * torch.linalg.solve(spread, difference, left=False)).sum(1)
        distance = root(squared).mean()
        if self.form == "paper":
            return distance
        mass = teacher.logits.softmax(1).sum(0)
        return distance * (mass <= mass.quantile(0.5)).to(distance).mean()
