"""torchvision's detectors behind tensors: inputs, losses, frozen BatchNorm, and the bottleneck."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.ops.misc import FrozenBatchNorm2d

from harness.losses import DetectorLoss
from harness.losses.detector_loss import NAMES
from harness.models.outputs import ModelOutputs
from zoo.models import bottleneck_detector, detector

SMALL = {"num_classes": 4, "min_size": 64, "max_size": 96}
RCNN = "fasterrcnn_mobilenet_v3_large_320_fpn"
BATCH = {
    "images": torch.rand(2, 3, 64, 72, generator=torch.Generator().manual_seed(0)),
    "sizes": torch.tensor([[64, 72], [50, 60]]),
    "boxes": torch.tensor([[[4.0, 4, 30, 30], [20, 20, 60, 50]], [[10, 10, 40, 40], [0, 0, 0, 0]]]),
    "classes": torch.tensor([[1, 3], [2, -1]]),
}


@pytest.fixture(scope="module")
def rcnn() -> Any:
    torch.manual_seed(0)
    return detector(name=RCNN, **SMALL)


def seeded_losses(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
    torch.manual_seed(3)  # boxes are sampled
    with torch.no_grad():
        return model.train()(*args, **kwargs)


@pytest.mark.parametrize(
    "name", [RCNN, *(pytest.param(n, marks=pytest.mark.slow) for n in ("ssdlite320_mobilenet_v3_large",
        "retinanet_resnet50_fpn", "fcos_resnet50_fpn", "maskrcnn_resnet50_fpn"))]
)  # fmt: skip
def test_the_losses_are_torchvisions_in_the_order_of_their_names(name: str) -> None:
    options = {"num_classes": 4} if name.startswith("ssd") else SMALL
    torch.manual_seed(0)
    model = detector(name=name, **options)
    reference_name = name.replace("maskrcnn", "fasterrcnn")  # boxes alone are trained
    reference = getattr(detection, reference_name)(weights=None, weights_backbone=None, **options)
    reference.load_state_dict({k: v for k, v in model.state_dict().items() if k in reference.state_dict()})
    images = [BATCH["images"][0], BATCH["images"][1, :, :50, :60]]
    targets = [{"boxes": BATCH["boxes"][0], "labels": BATCH["classes"][0]},
               {"boxes": BATCH["boxes"][1, :1], "labels": BATCH["classes"][1, :1]}]  # fmt: skip
    expected = seeded_losses(reference, images, targets)
    model.load_state_dict({**model.state_dict(), **reference.state_dict()})
    found = seeded_losses(model, **BATCH)
    assert tuple(sorted(expected)) == NAMES[len(found)]
    assert torch.allclose(found, torch.stack([expected[key] for key in sorted(expected)]), rtol=1e-4)
    first = min(expected)
    weights = {first: 2.0}
    total = sum(float(value) for value in expected.values()) + float(expected[first])
    assert float(DetectorLoss(weights=weights)(ModelOutputs(found), None, BATCH["classes"])) == pytest.approx(
        total, rel=1e-4
    )


def test_an_image_has_the_same_detections_in_its_own_pixels(rcnn: Any) -> None:
    rcnn.eval().roi_heads.score_thresh = 0.0
    with torch.inference_mode():
        found = rcnn(BATCH["images"][1:], BATCH["sizes"][1:])
    assert found.shape == (1, 100, 6)
    rows = found[0][found[0, :, 4] > 0]
    assert len(rows) > 5
    assert (rows[:, [0, 2]] <= 60).all()
    assert (rows[:, [1, 3]] <= 50).all()
    assert torch.equal(rows[:, 4].sort(descending=True).values, rows[:, 4])
    assert set(rows[:, 5].tolist()) <= {1, 2, 3}


@pytest.mark.parametrize(
    ("name", "tensor", "value"),
    [
        (RCNN, "rpn.head.cls_logits.weight", torch.nan),
        (RCNN, "backbone.body.0.1.running_var", torch.nan),
        (RCNN, "roi_heads.box_predictor.cls_score.weight", 3e38),  # finite, but its products are not
        ("ssdlite320_mobilenet_v3_large", "backbone.features.0.0.1.running_mean", torch.nan),
    ],
)
def test_a_model_whose_outputs_are_not_finite_returns_nan(name: str, tensor: str, value: float) -> None:
    """torchvision would return no detections, which would look like a score of 0."""
    torch.manual_seed(0)
    model: Any = detector(name=name, **(SMALL if name == RCNN else {"num_classes": 4})).eval()
    with torch.inference_mode():
        assert torch.isfinite(model(BATCH["images"], BATCH["sizes"])).all()
        model.state_dict()[tensor].fill_(value)
        assert torch.isnan(model(BATCH["images"], BATCH["sizes"])).all()


def test_parameters_have_torchvisions_names(rcnn: Any) -> None:
    reference = getattr(detection, RCNN)(weights=None, weights_backbone=None, num_classes=4)
    assert rcnn.state_dict().keys() == reference.state_dict().keys()


def test_frozen_batch_norm_does_not_learn() -> None:
    with torch.device("meta"):
        model = detector(name="fasterrcnn_resnet50_fpn", frozen_batch_norm=True, eps=0.0, **SMALL)
    layers = [module for module in model.modules() if isinstance(module, FrozenBatchNorm2d)]
    assert len(layers) == 53
    assert {layer.eps for layer in layers} == {0.0}
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_the_bottleneck_keeps_the_shape_of_the_layers_that_it_replaces() -> None:
    model: Any = bottleneck_detector(channels=3, name="fasterrcnn_resnet50_fpn", frozen_batch_norm=True, **SMALL)
    encoder, decoder = model.backbone.body.layer1.eval()
    features = torch.rand(2, 64, 17, 23)
    code = encoder(features)
    assert code.shape == (2, 3, 21, 27)
    assert decoder(code).shape == (2, 256, 17, 23)
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.backbone.body.layer1.modules())


def test_wrong_arguments_are_reported(rcnn: Any) -> None:
    with pytest.raises(ValueError, match=r"torchvision has no detector 'yolo'; it has fasterrcnn_"):
        detector(name="yolo", num_classes=2)
    with pytest.raises(ValueError, match="has no ResNet as its backbone, so it has no layer1 to replace"):
        bottleneck_detector(name=RCNN, **SMALL)
    with pytest.raises(ValueError, match="needs `boxes` and `classes`"):
        rcnn.train()(BATCH["images"], BATCH["sizes"])
    with pytest.raises(ValueError, match="no detector has a loss 'loss_x'; they have bbox_regression"):
        DetectorLoss(weights={"loss_x": 1.0})
    with pytest.raises(ValueError, match=r"the outputs \(2, 100, 6\) are not the losses of a detector"):
        DetectorLoss()(ModelOutputs(torch.zeros(2, 100, 6)), None, torch.zeros(2))
