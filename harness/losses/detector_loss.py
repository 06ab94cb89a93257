"""The losses that a detector computes itself."""

from collections.abc import Mapping

from torch import Tensor

from harness.losses.base import Loss
from harness.models.outputs import ModelOutputs

LOSSES = (
    ("bbox_regression", "classification"),
    ("bbox_ctrness", "bbox_regression", "classification"),
    ("loss_box_reg", "loss_classifier", "loss_objectness", "loss_rpn_box_reg"),
)
"""The losses of torchvision's detectors by their names: RetinaNet and SSD, FCOS, Faster R-CNN."""
NAMES = {len(names): names for names in LOSSES}


class DetectorLoss(Loss):
    """Weighted sum of the losses that a detector computes in training.

    `sum_k weights[k] l_k`

    The losses l_k `(K,)` take the place of logits, see `zoo.models.detector`. Most of them divide by the number of
    objects or sampled boxes in the whole batch, so the mean over a batch cannot be computed from its parts. The loss
    needs one process and no micro-batches.

    Papers:
        Ren et al., Faster R-CNN, NeurIPS 2015, equation 1; Liu et al., SSD, ECCV 2016, equation 1; Lin et al., Focal
        Loss, ICCV 2017; Tian et al., FCOS, ICCV 2019, equation 2.

    Args:
        weights: The weight of each loss by torchvision's name, such as `loss_box_reg`; 1 for the others.
    """

    needs_whole_batch = True

    def __init__(self, *, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.weights = dict(weights or {})
        known = [name for names in LOSSES for name in names]
        for name in self.weights:
            if name not in known:
                raise ValueError(
                    f"weights: no detector has a loss {name!r}; they have {', '.join(dict.fromkeys(known))}"
                )

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        losses = student.logits
        if losses.dim() != 1 or len(losses) not in NAMES:
            raise ValueError(f"the outputs {tuple(losses.shape)} are not the losses of a detector in training")
        weights = [self.weights.get(name, 1.0) for name in NAMES[len(losses)]]
        return (losses * losses.new_tensor(weights)).sum()
