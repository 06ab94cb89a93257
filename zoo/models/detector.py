"""The object detectors of torchvision, with tensors as inputs and outputs, and a detector with a narrow bottleneck.

The parameters have torchvision's names, so that its published weights can be loaded. A forward pass takes images as
one tensor and returns one tensor, because batches and outputs are tensors everywhere else, too.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.ops.misc import FrozenBatchNorm2d

WITHOUT_WEIGHTS = {"weights": None, "weights_backbone": None}


def detector(
    *, name: str, num_classes: int, frozen_batch_norm: bool = False, eps: float = 1e-5, **options: Any
) -> nn.Module:
    """Return one of torchvision's detectors, with random weights. See `DetectorMixin.forward` for inputs and outputs.

    Mask R-CNN and Keypoint R-CNN detect boxes alone: masks and keypoints are neither computed nor trained.

    Args:
        name: The name of the builder in `torchvision.models.detection`, such as "fasterrcnn_resnet50_fpn".
        num_classes: The number of classes, including the background, which is class 0. COCO's weights have 91.
        frozen_batch_norm: Whether BatchNorm layers keep their statistics and parameters, as torchvision's builders
            choose for their first versions of weights with ResNet-50 or MobileNetV3.
        eps: The number that frozen BatchNorm layers add to the variance. torchvision uses 0 for some weights of COCO.
        **options: Other arguments of the builder, such as `min_size`.

    Raises:
        ValueError: torchvision has no such detector.
    """
    names = models.list_models(module=models.detection)
    if name not in names:
        raise ValueError(f"torchvision has no detector {name!r}; it has {', '.join(names)}")
    model = getattr(models.detection, name)(num_classes=num_classes, **WITHOUT_WEIGHTS, **options)
    if frozen_batch_norm:
        _freeze_batch_norm(model, eps)
    for part in ("has_mask", "has_keypoint"):
        if hasattr(getattr(model, "roi_heads", None), part):
            setattr(model.roi_heads, part, _never)
    model.num_classes = num_classes  # compared with the classes of data
    for part in ("rpn.head", "roi_heads.box_predictor", "head"):
        if module := dict(model.named_modules()).get(part):
            module.register_forward_hook(_check_finite)
    model.__class__ = type(f"{type(model).__name__}Detector", (DetectorMixin, type(model)), {"__module__": __name__})
    return model  # type: ignore[no-any-return]


def bottleneck_detector(*, channels: int = 3, **arguments: Any) -> nn.Module:
    """Return a detector with a ResNet whose first group of blocks is replaced by a narrow encoder and a decoder.

    A camera computes the encoder and sends its few channels; a server computes the rest. The encoder has four 2 x 2
    convolutions, padded by 1, with 64, 256, 64 and `channels` outputs. The decoder has four without padding, with 64,
    128, and twice as many outputs as the layers that it replaces. BatchNorm follows every convolution, and ReLU follows
    the second one of the encoder, the encoder, and the second and fourth one of the decoder.

    Paper:
        Matsubara and Levorato, Neural Compression and Filtering for Edge-assisted Real-time Object Detection in
        Challenged Networks, ICPR 2020; trained by generalized head network distillation.

    Args:
        channels: The number of channels between encoder and decoder.
        **arguments: The arguments of `detector`.

    Raises:
        ValueError: The detector has no ResNet.
    """
    model: Any = detector(**arguments)
    body: Any = getattr(model.backbone, "body", None)
    if not hasattr(body, "layer1"):
        raise ValueError(f"{arguments.get('name')!r} has no ResNet as its backbone, so it has no layer1 to replace")
    convolutions = [module for module in body.layer1[-1].modules() if isinstance(module, nn.Conv2d)]
    body.layer1 = _bottleneck(channels, convolutions[-1].out_channels)
    return model  # type: ignore[no-any-return]


class DetectorMixin:
    """Gives a detector of torchvision tensors as inputs and outputs."""

    def forward(self, images: Tensor, sizes: Tensor, boxes: Tensor | None = None, classes: Tensor | None = None) -> Any:
        """Detect objects, or compute the losses of the detector if it is in training.

        Args:
            images: Images with values in [0, 1], padded at the right and at the bottom, `(B, 3, H, W)`.
            sizes: Height and width of every image without padding, `(B, 2)`.
            boxes: In training, the corners x1, y1, x2, y2 of every object in pixels, `(B, M, 4)`.
            classes: In training, the class of every object, `(B, M)`; -1 for rows without an object.

        Returns:
            In training the losses in the order of their names, `(K,)`. Otherwise `(B, D, 6)`: the corners of each box
            in pixels, its score, and its class, the highest score first. D is the most detections that the detector
            returns for an image; unused rows are 0. If an output of a head is NaN or infinite, as after an overflow in
            half precision, all values are NaN, because torchvision leaves out detections whose score is NaN.
        """
        own: Any = super()
        this: Any = self
        unpadded = [image[:, :height, :width] for image, (height, width) in zip(images, sizes.tolist(), strict=True)]
        if this.training:
            losses = own.forward(unpadded, _targets(boxes, classes))
            return torch.stack([losses[name].float() for name in sorted(losses)])
        most = getattr(this, "roi_heads", this).detections_per_img
        try:
            return torch.stack([_rows(detections, most) for detections in own.forward(unpadded)])
        except _NotFiniteError:
            return images.new_full((len(images), most, 6), torch.nan, dtype=torch.float32)


class _NotFiniteError(ArithmeticError):
    """An output of a head is NaN or infinite."""


def _check_finite(head: nn.Module, inputs: Any, outputs: Any) -> None:
    """Raise _NotFiniteError in an evaluation: later steps leave out whatever is not finite."""
    if not head.training and not torch.stack([tensor.isfinite().all() for tensor in _tensors(outputs)]).all():
        raise _NotFiniteError


def _tensors(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    else:
        for part in outputs.values() if isinstance(outputs, Mapping) else outputs:
            yield from _tensors(part)


def _targets(boxes: Tensor | None, classes: Tensor | None) -> list[dict[str, Tensor]]:
    if boxes is None or classes is None:
        raise ValueError("a detector in training needs `boxes` and `classes`")
    pairs = zip(boxes, classes, strict=True)
    return [{"boxes": box[label >= 0], "labels": label[label >= 0]} for box, label in pairs]


def _rows(detections: dict[str, Tensor], most: int) -> Tensor:
    """Return the detections of an image as `(most, 6)`."""
    columns = (detections["boxes"], detections["scores"][:, None], detections["labels"][:, None])
    rows = torch.cat([column.float() for column in columns], dim=1)[:most]
    return nn.functional.pad(rows, (0, 0, 0, most - len(rows)))


def _freeze_batch_norm(module: nn.Module, eps: float) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(child.num_features, eps))
        else:
            _freeze_batch_norm(child, eps)


def _bottleneck(channels: int, outputs: int) -> nn.Sequential:
    encoder = nn.Sequential(
        *_convolution(64, 64, padding=1), *_convolution(64, 256, padding=1), nn.ReLU(inplace=True),
        *_convolution(256, 64, padding=1), nn.Conv2d(64, channels, 2, padding=1, bias=False),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.BatchNorm2d(channels), nn.ReLU(inplace=True), *_convolution(channels, 64), *_convolution(64, 128),
        nn.ReLU(inplace=True), *_convolution(128, outputs), *_convolution(outputs, outputs), nn.ReLU(inplace=True),
    )  # fmt: skip
    return nn.Sequential(encoder, decoder)


def _convolution(inputs: int, outputs: int, padding: int = 0) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 2, padding=padding, bias=False), nn.BatchNorm2d(outputs)


def _never() -> bool:
    return False
