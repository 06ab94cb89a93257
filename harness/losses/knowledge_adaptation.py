"""Knowledge translation and adaptation.

A first stage trains an auto-encoder on the teacher's feature with `KnowledgeTranslation`; the student takes no part in
it. The next stage uses `KnowledgeAdaptation` under the same term name, which the first stage lists in `keep`. It
compares the student's feature with the code of the frozen encoder. The auto-encoder is the paraphraser of Kim et al.,
Paraphrasing Complex Network, NeurIPS 2018, supplement A.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import (
    FrozenEncoder,
    autoencoder,
    check_rate,
    check_same_size,
    safe_sqrt,
    unit_vectors,
)
from harness.models.outputs import ModelOutputs


class KnowledgeTranslation(Loss):
    """First stage of knowledge adaptation: reconstruction error and L1 norm of an auto-encoder's code.

    `mean (t - D(E(t)))^2 + l1 1/B sum |E(t)|`

    The auto-encoder reads the teacher's feature t `(B, C, H, W)`. Its code E(t) has `rate` C channels and the same H
    and W. The first part is a mean over all numbers, the second a sum over the numbers of an example.

    Paper:
        He et al., Knowledge Adaptation for Efficient Semantic Segmentation, CVPR 2019, equations 1
        (`KnowledgeTranslation`) and 2 to 5 (`KnowledgeAdaptation`).

    Args:
        teacher: Feature path of the teacher.
        rate: Channels of the code as a share of the teacher's, in (0, 1].
        l1: Weight of the L1 norm.
        batch_norm: Whether the auto-encoder has BatchNorm.
    """

    needs_teacher = True
    reads_logits = False

    encoder: nn.Module
    decoder: nn.Module

    def __init__(self, *, teacher: str, rate: float = 0.5, l1: float = 0.0, batch_norm: bool = True) -> None:
        super().__init__()
        check_rate(rate)
        self.teacher_features, self.rate, self.l1, self.batch_norm = (teacher,), rate, l1, batch_norm

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create encoder and decoder for the teacher's channels; raises ValueError if the code has no channel."""
        channels = teacher[self.teacher_features[0]].shape[1]
        code = int(channels * self.rate)
        self.encoder = autoencoder(nn.Conv2d, (channels, channels, code, code), batch_norm=self.batch_norm)
        self.decoder = autoencoder(nn.ConvTranspose2d, (code, code, channels, channels), batch_norm=self.batch_norm)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        feature = teacher[self.teacher_features[0]]
        code = self.encoder(feature)
        loss: Tensor = F.mse_loss(self.decoder(code), feature) + self.l1 * code.abs().flatten(1).sum(1).mean()
        return loss


class KnowledgeAdaptation(Loss):
    """Distance of the student's adapted feature, and of its affinities, from the teacher's code.

    `adaptation mean |n(A(s)) - n(E(t))| + affinity 1/B sum_c ||(a_c a_c^T - e_c e_c^T) / HW||_F`

    Features s and t are `(B, C, H, W)`. E is the encoder that `KnowledgeTranslation` has trained; it stays unchanged. A
    is a learned convolution with BatchNorm and ReLU. n divides an example's code by its L2 norm. a_c is channel c of a
    second learned convolution of s, and e_c is channel c of E(t). Both are vectors over the HW pixels, divided by their
    L2 norms. The affinity is computed channel by channel, as in torchdistill.

    Paper:
        He et al., Knowledge Adaptation for Efficient Semantic Segmentation, CVPR 2019, equations 1
        (`KnowledgeTranslation`) and 2 to 5 (`KnowledgeAdaptation`).

    Args:
        student: Feature path of the student.
        teacher: Feature path of the teacher, with the same H and W.
        rate: Channels of the code as a share of the teacher's, in (0, 1].
        adaptation: Weight of the distance of features.
        affinity: Weight of the distance of affinities.
        batch_norm: Whether the encoder has BatchNorm, as that of `KnowledgeTranslation`.
    """

    inherited_parts = ("encoder",)
    needs_teacher = True
    reads_logits = False

    encoder: nn.Module
    feature_adapter: nn.Module
    affinity_adapter: nn.Module

    def __init__(
        self,
        *,
        student: str,
        teacher: str,
        rate: float = 0.5,
        adaptation: float = 50.0,
        affinity: float = 1.0,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        check_rate(rate)
        self.student_features, self.teacher_features, self.rate = (student,), (teacher,), rate
        self.weights, self.batch_norm = (adaptation, affinity), batch_norm

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create the frozen encoder and both adapters; raises ValueError for features of different sizes."""
        student_path, teacher_path = self.student_features[0], self.teacher_features[0]
        check_same_size(student_path, student[student_path], teacher_path, teacher[teacher_path])
        inputs, channels = student[student_path].shape[1], teacher[teacher_path].shape[1]
        code = int(channels * self.rate)
        layers = autoencoder(nn.Conv2d, (channels, channels, code, code), batch_norm=self.batch_norm)
        self.encoder = FrozenEncoder(layers)
        self.feature_adapter = nn.Sequential(nn.Conv2d(inputs, code, 3, padding=1), nn.BatchNorm2d(code), nn.ReLU())
        self.affinity_adapter = nn.Conv2d(inputs, code, 3, padding=1)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        feature = student[self.student_features[0]]
        code = self.encoder(teacher[self.teacher_features[0]])
        adapted = self.feature_adapter(feature)
        adaptation = F.l1_loss(unit_vectors(adapted.flatten(1)), unit_vectors(code.flatten(1)))
        affinity = affinity_distance(self.affinity_adapter(feature), code)
        loss: Tensor = self.weights[0] * adaptation + self.weights[1] * affinity
        return loss


def affinity_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Return `1/B sum_c ||a_c a_c^T - e_c e_c^T||_F / HW` of features `(B, C, H, W)`, without HW x HW matrices.

    The squared norm is `|a - e|^2 |a + e|^2 / 2 + (|a|^2 - |e|^2)^2 / 2`, which avoids the difference of nearly equal
    numbers.
    """
    pixels = student.shape[2] * student.shape[3]
    a, e = unit_vectors(student.flatten(2)), unit_vectors(teacher.flatten(2))
    difference, total = (a - e).square().sum(-1), (a + e).square().sum(-1)
    squares = (difference * total + (a.square().sum(-1) - e.square().sum(-1)).square()) / 2
    return (safe_sqrt(squares) / pixels).sum(1).mean()
