"""Cross-entropy with the labels."""

from torch import Tensor
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.models.outputs import ModelOutputs


class CrossEntropy(Loss):
    """Cross-entropy of the predictions with the labels.

    `-1/B sum_i log softmax(s_i)[y_i]`

    Logits are `(B, C)`, labels `(B,)` of int64. For segmentation, logits are `(B, C, H, W)` and labels `(B, H, W)`; the
    mean is over all pixels except those labeled `ignore_index`. For token classification, logits are `(B, C, L)` and
    labels `(B, L)`, with -100 for tokens without a label.

    Args:
        label_smoothing: e in [0, 1). The target is `1 - e` on the label plus `e / C` on every class (Szegedy et al.,
            CVPR 2016).
        ignore_index: Label of the pixels to leave out.
        of: Feature path of the student to read instead of its logits, such as an auxiliary classifier `(B, C, h, w)`.
            With labels `(B, H, W)` it is resized to H and W bilinearly, as torchvision's models do.
    """

    def __init__(self, *, label_smoothing: float = 0.0, ignore_index: int = -100, of: str | None = None) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), not {label_smoothing}")
        self.label_smoothing, self.ignore_index = label_smoothing, ignore_index
        self.student_features = (of,) if of else ()
        self.reads_logits = of is None

    def denominator(self, labels: Tensor) -> float:
        return float((labels != self.ignore_index).sum())

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        logits = student[self.student_features[0]] if self.student_features else student.logits
        if self.student_features and labels.dim() == 3:
            logits = F.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing, ignore_index=self.ignore_index)
