"""Factor transfer.

A first stage trains an auto-encoder on the teacher's feature with `Paraphrase`; the student takes no part in it. The
next stage uses `FactorTransfer` under the same term name, which the first stage lists in `keep`. It compares the
student's factor with the factor of the frozen encoder.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import FrozenEncoder, autoencoder, check_rate, check_same_size, unit_vectors
from harness.models.outputs import ModelOutputs


class Paraphrase(Loss):
    """First stage of factor transfer: the reconstruction error of an auto-encoder of the teacher's feature.

    `mean (t - D(E(t)))^2`

    The mean is over all numbers of the teacher's feature t `(B, C, H, W)`. The code E(t), the teacher's factor, has
    `rate` C channels and the same H and W.

    Paper:
        Kim, Park and Kwak, Paraphrasing Complex Network, NeurIPS 2018, equations 1 (`Paraphrase`) and 3
        (`FactorTransfer`).

    Args:
        teacher: Feature path of the teacher.
        rate: Channels of the code as a share of the teacher's, in (0, 1].
        batch_norm: Whether the auto-encoder has BatchNorm.
    """

    needs_teacher = True
    reads_logits = False

    encoder: nn.Module
    decoder: nn.Module

    def __init__(self, *, teacher: str, rate: float = 0.5, batch_norm: bool = True) -> None:
        super().__init__()
        check_rate(rate)
        self.teacher_features, self.rate, self.batch_norm = (teacher,), rate, batch_norm

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create encoder and decoder for the teacher's channels; raises ValueError if the code has no channel."""
        channels = teacher[self.teacher_features[0]].shape[1]
        code = int(channels * self.rate)
        self.encoder = autoencoder(nn.Conv2d, (channels, channels, code, code), batch_norm=self.batch_norm)
        self.decoder = autoencoder(nn.ConvTranspose2d, (code, code, channels, channels), batch_norm=self.batch_norm)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        feature = teacher[self.teacher_features[0]]
        return F.mse_loss(self.decoder(self.encoder(feature)), feature)


class FactorTransfer(Loss):
    """Distance between the normalized factors of student and teacher.

    `1/B sum_i |E(t) / |E(t)|_2 - G(s) / |G(s)|_2|_p`

    E is the encoder that `Paraphrase` has trained; it stays unchanged. G, the translator, has the same depth and is
    learned. The weight beta of the paper is the weight of the term in the recipe.

    For p = 1 the loss is the mean of the absolute values, as in the authors' code; the equation has their sum.

    Paper:
        Kim, Park and Kwak, Paraphrasing Complex Network, NeurIPS 2018, equations 1 (`Paraphrase`) and 3
        (`FactorTransfer`).

    Args:
        student: Feature path of the student, `(B, C, H, W)`.
        teacher: Feature path of the teacher, with the same H and W.
        rate: Channels of the code as a share of the teacher's, in (0, 1].
        batch_norm: Whether encoder and translator have BatchNorm.
        p: 1 or 2.
    """

    inherited_parts = ("encoder",)
    needs_teacher = True
    reads_logits = False

    encoder: nn.Module
    translator: nn.Module

    def __init__(self, *, student: str, teacher: str, rate: float = 0.5, batch_norm: bool = True, p: int = 1) -> None:
        super().__init__()
        check_rate(rate)
        if p not in (1, 2):
            raise ValueError(f"p must be 1 or 2, not {p}")
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.rate, self.batch_norm, self.p = rate, batch_norm, p

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create the frozen encoder and the translator; raises ValueError for features of different sizes."""
        student_path, teacher_path = self.student_features[0], self.teacher_features[0]
        check_same_size(student_path, student[student_path], teacher_path, teacher[teacher_path])
        inputs, channels = student[student_path].shape[1], teacher[teacher_path].shape[1]
        code = int(channels * self.rate)
        encoder = autoencoder(nn.Conv2d, (channels, channels, code, code), batch_norm=self.batch_norm)
        self.encoder = FrozenEncoder(encoder)
        self.translator = autoencoder(nn.Conv2d, (inputs, inputs, code, code), batch_norm=self.batch_norm)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        student_factor = unit_vectors(self.translator(student[self.student_features[0]]).flatten(1))
        teacher_factor = unit_vectors(self.encoder(teacher[self.teacher_features[0]]).flatten(1))
        if self.p == 1:
            return F.l1_loss(student_factor, teacher_factor)
        distances: Tensor = torch.linalg.vector_norm(student_factor - teacher_factor, dim=1)
        return distances.mean()
