"""Cross entropy with the labels."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.outputs import ModelOutputs


class CrossEntropy(nn.Module):
    """`-1/B sum_i log softmax(s_i)[y_i]`, the mean over the batch; logits `(B, C)`, labels `(B,)` int64.

    Of a segmentation, logits `(B, C, H, W)` and labels `(B, H, W)`, the mean is over all pixels that count: those
    labelled `ignore_index` do not. With `label_smoothing` e the target is `1 - e` on the label plus `e / C` on every
    class (Szegedy et al., CVPR 2016). `of` is a tap of the student to read instead of its logits, an auxiliary
    classifier's `(B, C, h, w)`, which is brought to the labels' size bilinearly, as torchvision's models do.
    """

    def __init__(self, *, label_smoothing: float = 0.0, ignore_index: int = -100, of: str | None = None) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), not {label_smoothing}")
        self.label_smoothing, self.ignore_index = label_smoothing, ignore_index
        self.student_features = (of,) if of else ()
        self.reads_logits = of is None

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        logits = student[self.student_features[0]] if self.student_features else student.logits
        if self.student_features and labels.dim() == 3:
            logits = F.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing, ignore_index=self.ignore_index)
