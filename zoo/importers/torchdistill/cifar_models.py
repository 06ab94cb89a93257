"""torchdistill's own models for CIFAR as calls of a recipe."""

import re
from typing import Any

from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.model import Model

RELEASE = "https://github.com/yoshitomo-matsubara/torchdistill/releases/download/v0.1.1"
RELEASED = frozenset((
    "cifar10-resnet20", "cifar10-resnet32", "cifar10-resnet44", "cifar10-resnet56", "cifar10-resnet110",
    "cifar10-wide_resnet40_4", "cifar10-wide_resnet28_10", "cifar10-wide_resnet16_8", "cifar100-wide_resnet40_4",
    "cifar100-wide_resnet28_10", "cifar100-wide_resnet16_8", "cifar10-densenet_bc_k12_depth100",
    "cifar100-densenet_bc_k12_depth100",
))  # fmt: skip
"""The models for CIFAR whose weights torchdistill publishes. For others `pretrained: True` leaves random weights."""
_RESNET = re.compile(r"resnet(?P<depth>20|32|44|56|110|1202)")
_WIDE = re.compile(r"wide_resnet(?P<depth>\d{1,9})_(?P<k>\d{1,9})")
_DENSE = re.compile(r"densenet_bc_k(?P<k>\d{1,9})_depth(?P<depth>\d{1,9})")
CIFAR_KEYS = (
    "depth", "k", "growth_rate", "bottleneck", "num_init_features", "num_classes", "pretrained", "progress",
    "dropout_p", "drop_rate", "memory_efficient",
)  # fmt: skip
WRN_DROPOUT = 0.3
"""The dropout of torchdistill's WRNs if the configuration says nothing."""


def cifar_model(key: Item, kwargs: Item, data: str, found: Findings) -> Model | None:
    """Return one of torchdistill's own models for CIFAR, or None for another name."""
    made = _cifar_resnet(key, kwargs) or _cifar_wide_resnet(key, kwargs) or _cifar_densenet(key, kwargs)
    if made is None:
        return None
    call, full = made
    kwargs.check_keys(CIFAR_KEYS, key.text)
    classes = item.whole if (item := kwargs.get("num_classes")) else 10
    is_pretrained = (pretrained := kwargs.get("pretrained")) is not None and pretrained.flag
    published = f"{data}-{full}"
    weights = f"{RELEASE}/{published}.pt" if is_pretrained and published in RELEASED else None
    if is_pretrained and weights is None:
        found.differ(
            f"torchdistill publishes no weights for {published}: `pretrained: True` has no effect on {key.text}"
        )
    call["num_classes"] = classes
    return Model(key=key.text, family="cifar", call=call, mark=key.mark, weights=weights, num_classes=classes)


def _cifar_resnet(key: Item, kwargs: Item) -> tuple[dict[str, Any], str] | None:
    """Return the call of a ResNet and its full name, or None for another name."""
    match = _RESNET.fullmatch(key.text)
    if match is None and (key.text != "resnet" or kwargs.get("depth") is None):
        return None
    depth = int(match["depth"]) if match else kwargs.need("depth").whole
    return {"use": "cifar_resnet", "depth": depth}, f"resnet{depth}"


def _cifar_wide_resnet(key: Item, kwargs: Item) -> tuple[dict[str, Any], str] | None:
    """Return the call of a WRN and its full name, or None for another name."""
    match = _WIDE.fullmatch(key.text)
    if match is None and (key.text != "wide_resnet" or kwargs.get("k") is None):
        return None
    depth, k = (int(match[part]) if match else kwargs.need(part).whole for part in ("depth", "k"))
    dropout = item.number if (item := kwargs.get("dropout_p")) else WRN_DROPOUT
    call = {"use": "wide_resnet", "depth": depth, "widen_factor": k, **({"dropout": dropout} if dropout else {})}
    return call, f"wide_resnet{depth}_{k}"


def _cifar_densenet(key: Item, kwargs: Item) -> tuple[dict[str, Any], str] | None:
    """Return the call of a DenseNet-BC and its full name, or None for another name."""
    match = _DENSE.fullmatch(key.text)
    if match is None and (key.text != "densenet" or kwargs.get("growth_rate") is None):
        return None
    if match is None and ((bottleneck := kwargs.get("bottleneck")) is None or not bottleneck.flag):
        raise key.blocked("a DenseNet without bottlenecks; zoo has DenseNet-BC: set bottleneck: True")
    depth = int(match["depth"]) if match else kwargs.need("depth").whole
    k = int(match["k"]) if match else kwargs.need("growth_rate").whole
    dropout = item.number if (item := kwargs.get("drop_rate")) else 0.0
    call = {"use": "cifar_densenet", "depth": depth, "growth_rate": k, **({"dropout": dropout} if dropout else {})}
    return call, f"densenet_bc_k{k}_depth{depth}"
