"""Make recipes from the metadata of the weights that the installed torchvision lists: URL, transforms, scores."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torchvision
from torchvision import models

from zoo.suites.generated import GeneratedEntry, GeneratedSuite, Unsupported, recipe_text

PREFIX = "torchvision-"
IMAGENET, COCO_SEGMENTATION, COCO_DETECTION = "ImageNet-1K", "COCO-val2017-VOC-labels", "COCO-val2017"
SIZES = {IMAGENET: 50_000, COCO_SEGMENTATION: 5_000, COCO_DETECTION: 5_000}
"""The number of images behind the scores."""
METRICS = {
    IMAGENET: {"acc@1": "accuracy", "acc@5": "top5_accuracy"},
    COCO_SEGMENTATION: {"miou": "mean_iou", "pixel_acc": "pixel_accuracy"},
    COCO_DETECTION: {"box_map": "average_precision"},
}
MAIN_METRICS = ("accuracy", "pixel_accuracy", "average_precision")
"""The metrics that the column `accuracy` of the suite shows."""
DECIMALS = {IMAGENET: 5, COCO_SEGMENTATION: 3, COCO_DETECTION: 3}
"""torchvision prints per cents with three decimals, or one."""
NOT_SUPPORTED = {
    "VideoClassification": "zoo has no task for videos yet",
    "OpticalFlow": "zoo has no task for optical flow yet",
}
"""The class of the transforms -> why such weights are not evaluated."""
QUANTIZED = "quantized_"
CONVERTED_AFTER_LOADING = ("quantized_mobilenet_v3_large",)
"""Builders whose files hold the state of a quantization-aware training."""
TRAINED_BATCH_NORM = ("fasterrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn_v2", "retinanet_resnet50_fpn_v2",
    "ssdlite320_mobilenet_v3_large", "ssd300_vgg16")  # fmt: skip
"""Detectors whose BatchNorm layers torchvision does not freeze, if they have any."""
WITHOUT_EPS = ("FasterRCNN_ResNet50_FPN_Weights.COCO_V1", "KeypointRCNN_ResNet50_FPN_Weights.COCO_V1",
    "MaskRCNN_ResNet50_FPN_Weights.COCO_V1", "RetinaNet_ResNet50_FPN_Weights.COCO_V1")  # fmt: skip
"""Weights that were trained with frozen BatchNorm layers which add nothing to the variance."""
OTHER_SCORES = {"mask_map": "masks", "kp_map": "keypoints"}
"""Scores of detectors that zoo does not measure, and the part of a model that they are of."""
PERSON = "keypointrcnn_resnet50_fpn"
"""Finds persons alone, in COCO's annotations of keypoints."""
WITH_INPUT_TRANSFORM = ("googlenet", "inception_v3")
"""Builders that torchvision calls with other arguments when they get these weights."""


def torchvision_suite() -> GeneratedSuite:
    """Return the entries of all weights that torchvision lists, and the weights that zoo cannot evaluate."""
    entries, unsupported = [], []
    for builder, weights in listed_weights():
        name = f"{PREFIX}{builder}-{weights.name}"
        if (data := _data_of(weights)) is not None:
            entries.append(_entry(name, builder, weights, data))
        else:
            unsupported.append(Unsupported(name=name, reason=_why_not(weights)))
    return GeneratedSuite(origin=f"the metadata of {_version()}", entries=entries, unsupported=unsupported)


def listed_weights() -> Iterator[tuple[str, Any]]:
    """Yield the name of each builder of torchvision with each of its weights."""
    for builder in models.list_models():
        for weights in models.get_model_weights(builder):
            yield builder, weights


def _version() -> str:
    """Return torchvision with its version, without the part that names the build."""
    return f"torchvision {torchvision.__version__.partition('+')[0]}"


def _data_of(weights: Any) -> str | None:
    return next((name for name in METRICS if name in weights.meta["_metrics"]), None)


def _why_not(weights: Any) -> str:
    kind = type(weights.transforms()).__name__
    data = ", ".join(weights.meta["_metrics"]) or "no data set"
    return f"{NOT_SUPPORTED.get(kind, 'zoo has no task for these scores yet')} (scores on {data})"


def _entry(name: str, builder: str, weights: Any, data: str) -> GeneratedEntry:
    task = _task(builder, weights, data)
    scores = weights.meta["_metrics"][data]
    recipe = {
        "name": name,
        "task": task,
        "model": _model(builder, weights, data),
        "weights": weights.url,
    }
    claims = [_claim(weights, data, key, scores[key]) for key in METRICS[data]]
    return GeneratedEntry(
        name=name, recipe=recipe_text([*_comments(weights), *_not_measured(scores)], recipe, claims),
        facts=_facts(builder, weights, claims), not_compared=_why_not_compared(builder, scores),
    )  # fmt: skip


def _why_not_compared(builder: str, scores: Mapping[str, float]) -> str:
    if builder in CONVERTED_AFTER_LOADING:
        return "torchvision quantizes this model after it has loaded the file, which zoo does not do"
    if not any(math.isfinite(score) for score in scores.values()):
        return "torchvision publishes no score: these are weights of the feature extractor alone"
    return ""


def _comments(weights: Any) -> list[str]:
    return [
        f"{weights} of {_version()}: {weights.meta['num_params'] / 1e6:.1f} million"
        f" parameters, {weights.meta['_file_size']:.1f} MB.",
        "Made from torchvision's metadata, with its transforms. Nothing is trained.",
    ]


def _not_measured(scores: Mapping[str, float]) -> list[str]:
    """Return a comment for each score of a detector that no claim is about."""
    return [
        f"{key} {scores[key]:g} is not compared: zoo measures boxes, not {part}."
        for key, part in OTHER_SCORES.items()
        if key in scores
    ]


def _facts(builder: str, weights: Any, claims: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    transforms = weights.transforms()
    crop = getattr(transforms, "crop_size", None)
    resized = transforms.resize_size[0] if hasattr(transforms, "resize_size") else None
    accuracy = next(claim for claim in claims if claim["metric"] in MAIN_METRICS)
    return {
        "model": builder,
        "params": round(weights.meta["num_params"] / 1e6, 3),
        "img_size": crop[0] if crop else resized,
        "crop_pct": round(crop[0] / resized, 3) if crop else None,
        "interpolation": transforms.interpolation.value if resized else None,
        "quantized": builder.startswith(QUANTIZED),
        "accuracy": accuracy.get("value"),
        "claims": len(claims),
        "megabytes": round(weights.meta["_file_size"], 1),
    }


def _task(builder: str, weights: Any, data: str) -> dict[str, Any]:
    if data == COCO_DETECTION:
        annotations = {"annotations": "annotations/person_keypoints_{split}2017.json"} if builder == PERSON else {}
        return {"use": "object_detection", "data": "data:coco2017", **annotations}
    return _imagenet_task(weights) if data == IMAGENET else _segmentation_task(weights)


def _imagenet_task(weights: Any) -> dict[str, Any]:
    transforms = weights.transforms()
    resize = {"use": "Resize", "size": transforms.resize_size[0], "interpolation": transforms.interpolation.value}
    return {
        "use": "image_folder",
        "data": "data:ilsvrc2012",
        "classes": 1000,
        "train_transforms": [],
        "eval_transforms": [resize, {"use": "CenterCrop", "size": transforms.crop_size[0]}],
        **_normalization(transforms),
    }


def _segmentation_task(weights: Any) -> dict[str, Any]:
    transforms = weights.transforms()
    resize = {"use": "zoo.tasks.transforms.ShorterSide", "min_size": transforms.resize_size[0]}
    return {
        "use": "coco_segmentation",
        "data": "data:coco2017",
        "train_transforms": [],
        "eval_transforms": [resize],
        **_normalization(transforms),
    }


def _normalization(transforms: Any) -> dict[str, Any]:
    return {"mean": [float(value) for value in transforms.mean], "std": [float(value) for value in transforms.std]}


def _model(builder: str, weights: Any, data: str) -> dict[str, Any]:
    """Return the call of a builder with the arguments that torchvision gives it for these weights."""
    if data == COCO_DETECTION:
        return _detector(builder, weights)
    plain = builder.removeprefix(QUANTIZED)
    arguments: dict[str, Any] = {}
    if plain in WITH_INPUT_TRANSFORM:
        arguments |= {"transform_input": True, "aux_logits": True, "init_weights": False}
    if plain.startswith("vit_"):
        arguments["image_size"] = weights.meta["min_size"][0]
    if data == COCO_SEGMENTATION:
        arguments |= {"num_classes": len(weights.meta["categories"]), "weights_backbone": None}
        arguments |= {} if plain.startswith("lraspp") else {"aux_loss": True}
    if not builder.startswith(QUANTIZED):
        return {"use": builder, **arguments}
    if plain == "inception_v3":  # its quantized file lacks the auxiliary classifier
        arguments["aux_logits"] = False
    use = f"torchvision.models.quantization.{plain}"
    return {"use": use, "quantize": True, "backend": weights.meta["backend"], **arguments}


def _detector(builder: str, weights: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"name": builder, "num_classes": len(weights.meta["categories"])}
    if builder == PERSON:
        arguments["num_keypoints"] = len(weights.meta["keypoint_names"])
    if builder not in TRAINED_BATCH_NORM:
        arguments["frozen_batch_norm"] = True
        arguments |= {"eps": 0.0} if str(weights) in WITHOUT_EPS else {}
    return {"use": "detector", **arguments}


def _claim(weights: Any, data: str, key: str, percent: float) -> dict[str, Any]:
    n, metric = SIZES[data], METRICS[data][key]
    claim: dict[str, Any] = {"of": "weights", "split": "val", "metric": metric}
    source = f"{_version()}: {weights}, {key}"
    if not math.isfinite(percent):
        return {**claim, "n": n, "source": f"{source} is NaN"}
    value = round(percent / 100, DECIMALS[data])
    if data == IMAGENET:
        source = f"{source} ({round(value * n):,} of {n:,})"
    return {**claim, "value": value, "decimals": DECIMALS[data], "n": n, "source": source}
