"""The models of torchvision as calls of a recipe, with the URLs of their weights."""

from collections.abc import Mapping
from typing import Any

from torchvision import models

from zoo.errors import did_you_mean
from zoo.importers.torchdistill.items import Imported, Item
from zoo.importers.torchdistill.model import Model

LRASPP = "lraspp_mobilenet_v3_large"
INCEPTION = "inception_v3"
WITH_INPUT_TRANSFORM = {"googlenet": ("aux1", "aux2"), INCEPTION: ("AuxLogits",)}
"""Builders that torchvision calls with other arguments when they get weights, and their auxiliary classifiers."""


def torchvision_model(key: Item, kwargs: Item) -> Model:
    name = key.text
    if name not in models.list_models():
        hint = did_you_mean(name, models.list_models())
        message = f"{name} is neither a model of torchvision nor one of torchdistill's for CIFAR{hint}"
        if name.startswith("custom_"):
            message = f"{name} is a model with a bottleneck that torchdistill no longer contains, and zoo has none"
            message += "; write a recipe with a model of your own package, and pass --trust PACKAGE"
        raise key.blocked(message)
    module = models.get_model_builder(name).__module__
    if ".detection" in module:
        message = "detection is not converted; write a recipe with the task object_detection"
        raise key.blocked(f"{name} detects objects: {message}")
    if not module.startswith(("torchvision.models.segmentation", "torchvision.models.")) or ".quantization" in module:
        raise key.blocked(f"{name}: only classifiers and segmentation models of torchvision are converted")
    if ".segmentation" in module:
        return _segmentation_model(key, kwargs)
    own = ("init_weights", "aux_logits") if name in WITH_INPUT_TRANSFORM else ()
    kwargs.check_keys(("num_classes", "pretrained", "progress", "weights", *own), name)
    classes = item.whole if (item := kwargs.get("num_classes")) else 1000
    weights = _weights_url(kwargs, name)
    call = {"use": name, "num_classes": classes}
    load = None
    if name in WITH_INPUT_TRANSFORM:
        aux = _flag(kwargs, "aux_logits", default=name == INCEPTION or weights is None)
        inits = weights is None and _flag(kwargs, "init_weights", default=True)
        call |= {"aux_logits": aux, "init_weights": inits, "transform_input": weights is not None}
        load = {"ignore": list(WITH_INPUT_TRANSFORM[name])} if weights is not None and not aux else None
    return Model(key=name, family="torchvision", call=call, mark=key.mark, weights=weights, load=load,
                 num_classes=classes)  # fmt: skip


def _flag(kwargs: Item, name: str, *, default: bool) -> bool:
    return default if (item := kwargs.get(name)) is None else item.flag


def _segmentation_model(key: Item, kwargs: Item) -> Model:
    known = ("num_classes", "aux_loss", "pretrained", "pretrained_backbone", "progress", "weights", "weights_backbone")
    kwargs.check_keys(known, key.text)
    name = key.text
    classes = item.whole if (item := kwargs.get("num_classes")) else 21
    weights = _weights_url(kwargs, name)
    aux = kwargs.get("aux_loss")
    call = {"use": name, "num_classes": classes}
    if name != LRASPP:
        call |= {"aux_loss": weights is not None or (aux is not None and aux.flag)}
    call["weights_backbone"] = None
    load: Mapping[str, Any] | None = None
    if weights is None and (weights := _backbone_url(kwargs, name)):
        load = {"part": "backbone", "of": "features"} if "mobilenet" in name else {"part": "backbone", "ignore": ["fc"]}
    return Model(key=name, family="segmentation", call=call, mark=key.mark, weights=weights, load=load,
                 num_classes=classes)  # fmt: skip


def _weights_url(kwargs: Item, builder: str) -> str | None:
    """Return the URL of torchvision's weights: those of `weights`, or of the older `pretrained: True`."""
    if (weights := kwargs.get("weights")) is not None:
        return _url_of(weights, models.get_model_weights(builder))
    pretrained = kwargs.get("pretrained")
    return str(next(iter(models.get_model_weights(builder))).url) if pretrained and pretrained.flag else None


def _backbone_url(kwargs: Item, builder: str) -> str | None:
    """Return the URL of the backbone's weights. By default torchvision loads those of ImageNet."""
    backbone = "mobilenet_v3_large" if "mobilenet" in builder else f"resnet{'101' if '101' in builder else '50'}"
    enum = models.get_model_weights(backbone)
    if (weights := kwargs.get("weights_backbone")) is not None:
        return _url_of(weights, enum)
    is_off = "weights_backbone" in kwargs.mapping  # null
    old = kwargs.get("pretrained_backbone")
    return None if is_off or (old is not None and not old.flag) else str(next(iter(enum)).url)


def _url_of(item: Item, enum: Any) -> str:
    """Return the URL of an enumerated set of weights, or of its name as a text."""
    text = item.value.name if isinstance(item.value, Imported) else item.text
    *path, member = text.split(".")
    if member not in enum.__members__ or (path and path[-1] != enum.__name__):
        raise item.blocked(f"{text} is not one of {enum.__name__}: {', '.join(enum.__members__)}")
    return str(enum[member].url)
