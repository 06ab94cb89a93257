"""Factor transfer.

In a first stage `Paraphrase` trains an auto-encoder on the teacher's feature, without the student; in the next, under
the same name and with `keep`, `FactorTransfer` compares the student's factor with that of the frozen encoder.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import autoencoder, check_rate, same_size, unit
from harness.models.outputs import ModelOutputs


class Paraphrase(nn.Module):
    """`mean (t - D(E(t)))^2` over all numbers, equation 1: an auto-encoder of the teacher's feature t.

    `teacher` is a tap `(B, C, H, W)`; the code, the teacher's factor, has `rate` C channels and the same size.

    Kim, Park and Kwak, Paraphrasing Complex Network, NeurIPS 2018.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, teacher: str, rate: float = 0.5, batch_norm: bool = True) -> None:
        super().__init__()
        check_rate(rate)
        self.teacher_features, self.rate, self.batch_norm = (teacher,), rate, batch_norm
        self.encoder: nn.Module | None = None
        self.decoder: nn.Module | None = None

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make encoder and decoder for the teacher's channels."""
        channels = teacher[self.teacher_features[0]].shape[1]
        code = int(channels * self.rate)
        self.encoder = autoencoder(nn.Conv2d, (channels, channels, code, code), batch_norm=self.batch_norm)
        self.decoder = autoencoder(nn.ConvTranspose2d, (code, code, channels, channels), batch_norm=self.batch_norm)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.encoder is not None and self.decoder is not None
        feature = teacher[self.teacher_features[0]]
        return F.mse_loss(self.decoder(self.encoder(feature)), feature)


class FactorTransfer(nn.Module):
    """`1/B sum_i |E(t) / |E(t)|_2 - G(s) / |G(s)|_2|_p`, equation 3; for p = 1 divided by the numbers of a factor.

    E is the encoder that `Paraphrase` has trained, which stays as it is; G, the translator, is as deep and is learned.
    `student` and `teacher` are taps `(B, C, H, W)` of one size. The authors' code takes the mean of the absolute values
    for p = 1, and so does this; beta is the term's weight.

    Kim, Park and Kwak, Paraphrasing Complex Network, NeurIPS 2018.
    """

    inherited_parts = ("encoder",)
    needs_teacher = True
    reads_logits = False

    def __init__(self, *, student: str, teacher: str, rate: float = 0.5, batch_norm: bool = True, p: int = 1) -> None:
        super().__init__()
        check_rate(rate)
        if p not in (1, 2):
            raise ValueError(f"p must be 1 or 2, not {p}")
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.rate, self.batch_norm, self.p = rate, batch_norm, p
        self.encoder: nn.Module | None = None
        self.translator: nn.Module | None = None

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the frozen encoder and the translator; raises ValueError for taps of different sizes."""
        given, wanted = student[self.student_features[0]], teacher[self.teacher_features[0]]
        same_size(self.student_features[0], given, self.teacher_features[0], wanted)
        inputs, channels = given.shape[1], wanted.shape[1]
        code = int(channels * self.rate)
        self.encoder = autoencoder(nn.Conv2d, (channels, channels, code, code), batch_norm=self.batch_norm)
        self.encoder.requires_grad_(False)
        self.translator = autoencoder(nn.Conv2d, (inputs, inputs, code, code), batch_norm=self.batch_norm)

    def train(self, mode: bool = True) -> "FactorTransfer":
        """Set the mode of the translator; the encoder's BatchNorm goes by its running statistics always."""
        super().train(mode)
        if self.encoder is not None:
            self.encoder.eval()
        return self

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.encoder is not None and self.translator is not None
        mine = unit(self.translator(student[self.student_features[0]]).flatten(1))
        theirs = unit(self.encoder(teacher[self.teacher_features[0]]).flatten(1))
        return F.l1_loss(mine, theirs) if self.p == 1 else torch.linalg.vector_norm(mine - theirs, dim=1).mean()
