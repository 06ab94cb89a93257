"""Knowledge translation and adaptation.

In a first stage `KnowledgeTranslation` trains an auto-encoder on the teacher's feature, without the student; in the
next, under the same name and with `keep`, `KnowledgeAdaptation` compares the student with what the frozen encoder makes
of it. The auto-encoder is the paraphraser of Kim et al., Paraphrasing Complex Network, NeurIPS 2018, supplement A.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import autoencoder, check_rate, root, same_size, unit
from harness.models.outputs import ModelOutputs


class KnowledgeTranslation(nn.Module):
    """`mean (t - D(E(t)))^2 + l1 1/B sum |E(t)|`: equation 1, an auto-encoder of the teacher's feature t.

    `teacher` is a tap `(B, C, H, W)`; the code has `rate` C channels and the same size. The first part is a mean over
    all numbers, the second a sum over those of an example.

    He et al., Knowledge Adaptation for Efficient Semantic Segmentation, CVPR 2019.
    """

    needs_teacher = True
    reads_logits = False

    def __init__(self, *, teacher: str, rate: float = 0.5, l1: float = 0.0) -> None:
        super().__init__()
        check_rate(rate)
        self.teacher_features, self.rate, self.l1 = (teacher,), rate, l1
        self.encoder: nn.Module | None = None
        self.decoder: nn.Module | None = None

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make encoder and decoder for the teacher's channels."""
        channels = teacher[self.teacher_features[0]].shape[1]
        code = int(channels * self.rate)
        self.encoder = autoencoder(nn.Conv2d, (channels, channels, code, code))
        self.decoder = autoencoder(nn.ConvTranspose2d, (code, code, channels, channels))

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.encoder is not None and self.decoder is not None
        feature = teacher[self.teacher_features[0]]
        code = self.encoder(feature)
        loss: Tensor = F.mse_loss(self.decoder(code), feature) + self.l1 * code.abs().flatten(1).sum(1).mean()
        return loss


class KnowledgeAdaptation(nn.Module):
    """`adaptation mean |n(A(s)) - n(E(t))| + affinity 1/B sum_c ||(a_c a_c^T - e_c e_c^T) / HW||_F`: equations 2 to 5.

    E is the encoder that `KnowledgeTranslation` has trained on the teacher's tap; it stays as it is. A is a learned
    convolution with BatchNorm and ReLU on the student's tap, n divides an example's code by its L2 norm; a_c is channel
    c of a second learned convolution of that tap, e_c of E(t), both as vectors over the HW pixels over their L2 norms.
    `student` and `teacher` are taps `(B, C, H, W)` of one size. The affinity is that of torchdistill's loss, channel by
    channel.

    He et al., Knowledge Adaptation for Efficient Semantic Segmentation, CVPR 2019.
    """

    inherited_parts = ("encoder",)
    needs_teacher = True
    reads_logits = False

    def __init__(
        self, *, student: str, teacher: str, rate: float = 0.5, adaptation: float = 50.0, affinity: float = 1.0
    ) -> None:
        super().__init__()
        check_rate(rate)
        self.student_features, self.teacher_features, self.rate = (student,), (teacher,), rate
        self.weights = (adaptation, affinity)
        self.encoder: nn.Module | None = None
        self.feature_adapter: nn.Module | None = None
        self.affinity_adapter: nn.Module | None = None

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the frozen encoder and both adapters; raises ValueError for taps of different sizes."""
        mine, theirs = self.student_features[0], self.teacher_features[0]
        same_size(mine, student[mine], theirs, teacher[theirs])
        given, wanted = student[mine].shape, teacher[theirs].shape
        code = int(wanted[1] * self.rate)
        self.encoder = autoencoder(nn.Conv2d, (wanted[1], wanted[1], code, code)).requires_grad_(False)
        self.feature_adapter = nn.Sequential(nn.Conv2d(given[1], code, 3, padding=1), nn.BatchNorm2d(code), nn.ReLU())
        self.affinity_adapter = nn.Conv2d(given[1], code, 3, padding=1)

    def train(self, mode: bool = True) -> "KnowledgeAdaptation":
        """Set the mode of the adapters; the encoder's BatchNorm goes by its running statistics always."""
        super().train(mode)
        if self.encoder is not None:
            self.encoder.eval()
        return self

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.encoder is not None
        assert self.feature_adapter is not None and self.affinity_adapter is not None
        feature = student[self.student_features[0]]
        code = self.encoder(teacher[self.teacher_features[0]])
        adapted = F.l1_loss(unit(self.feature_adapter(feature).flatten(1)), unit(code.flatten(1)))
        related = affinity_distance(self.affinity_adapter(feature), code)
        loss: Tensor = self.weights[0] * adapted + self.weights[1] * related
        return loss


def affinity_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """`1/B sum_c ||a_c a_c^T - e_c e_c^T||_F / HW` of `(B, C, H, W)`, without the HW x HW matrices.

    The squared norm is `|a - e|^2 |a + e|^2 / 2 + (|a|^2 - |e|^2)^2 / 2`, without a difference of nearly equal numbers.
    """
    pixels = student.shape[2] * student.shape[3]
    a, e = unit(student.flatten(2)), unit(teacher.flatten(2))
    apart, together = (a - e).square().sum(-1), (a + e).square().sum(-1)
    squared = (apart * together + (a.square().sum(-1) - e.square().sum(-1)).square()) / 2
    return (root(squared) / pixels).sum(1).mean()
