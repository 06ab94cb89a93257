"""Cross entropy with the labels."""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.observation import Observation


class CrossEntropy(nn.Module):
    """`-1/B sum_i log softmax(s_i)[y_i]`, the mean over the batch; logits `(B, C)`, labels `(B,)` int64.

    With `label_smoothing` e the target is `1 - e` on the label plus `e / C` on every class (Szegedy et al., CVPR 2016).
    """

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), not {label_smoothing}")
        self.label_smoothing = label_smoothing

    def forward(self, student: Observation, teacher: Observation | None, labels: Tensor) -> Tensor:
        return F.cross_entropy(student.logits, labels, label_smoothing=self.label_smoothing)
