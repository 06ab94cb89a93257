"""The models of a configuration as calls of a recipe, and where their weights come from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torchvision import models

from zoo.errors import Mark, Problem, did_you_mean
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import BlockedError, Imported, Item

RELEASE = "https://github.com/yoshitomo-matsubara/torchdistill/releases/download/v0.1.1"
RELEASED = frozenset((
    "cifar10-resnet20", "cifar10-resnet32", "cifar10-resnet44", "cifar10-resnet56", "cifar10-resnet110",
    "cifar10-wide_resnet40_4", "cifar10-wide_resnet28_10", "cifar10-wide_resnet16_8", "cifar100-wide_resnet40_4",
    "cifar100-wide_resnet28_10", "cifar100-wide_resnet16_8", "cifar10-densenet_bc_k12_depth100",
    "cifar100-densenet_bc_k12_depth100",
))  # fmt: skip
"""The models for CIFAR whose weights torchdistill publishes. For others `pretrained: True` leaves random weights."""
HUB_MODELS = {
    "bert-base-uncased": "google-bert/bert-base-uncased", "bert-large-uncased": "google-bert/bert-large-uncased",
    "bert-base-cased": "google-bert/bert-base-cased", "bert-large-cased": "google-bert/bert-large-cased",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased", "roberta-base": "FacebookAI/roberta-base",
    "roberta-large": "FacebookAI/roberta-large", "albert-base-v2": "albert/albert-base-v2",
}  # fmt: skip
"""Models whose old names on the Hub had no owner."""
_RESNET = re.compile(r"resnet(?P<depth>20|32|44|56|110|1202)")
_WIDE = re.compile(r"wide_resnet(?P<depth>\d+)_(?P<k>\d+)")
_DENSE = re.compile(r"densenet_bc_k(?P<k>\d+)_depth(?P<depth>\d+)")
CIFAR_KEYS = (
    "depth", "k", "growth_rate", "bottleneck", "num_init_features", "num_classes", "pretrained", "progress",
    "dropout_p", "drop_rate", "memory_efficient",
)  # fmt: skip
WRN_DROPOUT = 0.3
"""The dropout of torchdistill's WRNs if the configuration says nothing."""
LRASPP = "lraspp_mobilenet_v3_large"
KEYS = (
    "key", "name", "kwargs", "src_ckpt", "dst_ckpt", "ckpt", "experiment", "repo_or_dir", "quantized", "sync_bn",
    "model_name_or_path", "num_labels", "config_kwargs", "tokenizer_kwargs", "model_kwargs",
)  # fmt: skip
WITH_INPUT_TRANSFORM = ("googlenet", "inception_v3")
"""Builders that torchvision calls with other arguments when they get weights."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of a configuration."""

    key: str
    """Its name in the configuration."""
    family: str
    """`cifar`, `torchvision`, `segmentation` or `text`."""
    call: dict[str, Any]
    """The architecture as a call of a recipe."""
    mark: Mark
    weights: str | None = None
    """The source of its first weights, without the part that other keys choose."""
    load: Mapping[str, Any] | None = None
    """Arguments of `pretrained` for weights of a part of the model."""
    num_classes: int = 0
    tokenizer: str = ""
    problem_type: str = ""

    @property
    def started(self) -> dict[str, Any]:
        """The call with its first weights."""
        if self.weights is None or self.family == "text":
            return self.call
        return {"use": "pretrained", "model": self.call, "weights": self.weights, **(self.load or {})}

    def blocked(self, message: str, mark: Mark | None = None) -> BlockedError:
        """Return the error that says why the model, or another part at `mark`, cannot be converted."""
        return BlockedError(Problem(mark or self.mark, message))


def convert_model(item: Item, data: str, found: Findings, *, is_teacher: bool) -> Model:
    """Return a model; raises BlockedError if a recipe has no equal.

    Args:
        item: The model's entry in `models`.
        data: The kind of the data set that it is trained on.
        found: Gets assumptions.
        is_teacher: Whether it is the teacher, which needs trained weights.
    """
    item.check_keys(KEYS, "a model")
    if (quantized := item.get("quantized")) is not None and quantized.flag:
        raise quantized.blocked("quantized models are not converted")
    if item.get("model_kwargs", "model_name_or_path") is not None:
        return _text_model(item, found)
    key = item.need("key", "name")
    kwargs = item.get("kwargs") or Item(value={}, mark=item.mark)
    if (repository := item.get("repo_or_dir")) is not None:
        message = f"{key.text} comes from torch.hub ({repository.text}), whose code zoo does not run"
        raise repository.blocked(
            f"{message}; write a recipe with a model of your own package, and pass --trust PACKAGE"
        )
    model = _cifar_model(key, kwargs, data, found) or _torchvision_model(key, kwargs)
    model = _with_checkpoint(model, item, found, is_teacher=is_teacher)
    if is_teacher and model.weights is None:
        message = f"the teacher {key.text} has no weights: torchdistill publishes none for this model and data set"
        raise key.blocked(f"{message}, so it would teach with random weights; train it first and name its checkpoint")
    return model


def _cifar_model(key: Item, kwargs: Item, data: str, found: Findings) -> Model | None:
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


def _torchvision_model(key: Item, kwargs: Item) -> Model:
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
        raise key.blocked(f"{name} detects objects; zoo has no task for object detection yet")
    if not module.startswith(("torchvision.models.segmentation", "torchvision.models.")) or ".quantization" in module:
        raise key.blocked(f"{name}: only classifiers and segmentation models of torchvision are converted")
    if ".segmentation" in module:
        return _segmentation_model(key, kwargs)
    kwargs.check_keys(("num_classes", "pretrained", "progress", "weights", "init_weights", "aux_logits"), name)
    classes = item.whole if (item := kwargs.get("num_classes")) else 1000
    weights = _weights_url(kwargs, name)
    call = {"use": name, "num_classes": classes}
    if name in WITH_INPUT_TRANSFORM:
        call |= {"aux_logits": True, "init_weights": weights is None, "transform_input": weights is not None}
    return Model(key=name, family="torchvision", call=call, mark=key.mark, weights=weights, num_classes=classes)


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


def _with_checkpoint(model: Model, item: Item, found: Findings, *, is_teacher: bool) -> Model:
    """Return the model with the weights of its checkpoint, `src_ckpt`, or in the older format `ckpt` of a teacher."""
    checkpoint = item.get("src_ckpt") or (item.get("ckpt") if is_teacher else None)
    if checkpoint is None:
        return model
    path = checkpoint.text
    if model.weights is not None:
        found.assume(f"{path} does not exist: torchdistill loads it in place of the published weights if it does")
        return model
    is_url = path.startswith(("https://", "http://"))
    source = path if is_url else f"file:{path.removeprefix('./')}"
    found.assume(f"{path} has the first weights of {model.key}; torchdistill goes on without them if it is missing")
    return Model(**{**vars(model), "weights": source, "load": None})


def _text_model(item: Item, found: Findings) -> Model:
    model_kwargs = item.get("model_kwargs") or item
    name = model_kwargs.need("pretrained_model_name_or_path", "model_name_or_path").text
    config = item.get("config_kwargs") or Item(value={}, mark=item.mark)
    labels = item.get("num_labels") or config.get("num_labels")
    if labels is None:
        raise item.blocked("the key 'num_labels' is missing")
    tokenizer = item.get("tokenizer_kwargs")
    tokenizer_name = tokenizer.need("pretrained_model_name_or_path").text if tokenizer else name
    problem = config.get("problem_type")
    call = {"use": "sequence_classifier", "init": f"hub:{hub_repository(name)}", "num_labels": labels.whole}
    return Model(
        key=name, family="text", call=call, mark=item.mark, weights=f"hub:{hub_repository(name)}",
        num_classes=labels.whole, tokenizer=tokenizer_name, problem_type=problem.text if problem else "",
    )  # fmt: skip


def hub_repository(name: str) -> str:
    """Return the repository of the Hub for a model's name, with its owner."""
    return HUB_MODELS.get(name, name)
