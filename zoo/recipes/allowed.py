"""The names that a recipe may use without `--trust`, by field. A name that is not listed is refused.

Names are listed, not packages: packages such as torch and transformers also have functions that download, write files
or run commands. The lists hold public names only. The builders of torchvision and timm and the architectures of
transformers are enumerated by these libraries themselves.
"""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from zoo.recipes.fields import FIELDS, METRIC_ARRAYS, TORCHVISION
from zoo.trusted_code import is_part_of

LOSSES = (
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HuberLoss", "L1Loss", "MSELoss", "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss", "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss",
)  # fmt: skip
"""The losses of torch between the outputs of a model and the labels of zoo's tasks; the others compare more tensors."""
LAYERS = (
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AlphaDropout", "AvgPool1d", "AvgPool2d", "AvgPool3d", "BatchNorm1d", "BatchNorm2d",
    "BatchNorm3d", "Bilinear", "CELU", "ChannelShuffle", "CircularPad1d", "CircularPad2d", "CircularPad3d",
    "ConstantPad1d", "ConstantPad2d", "ConstantPad3d", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d",
    "ConvTranspose2d", "ConvTranspose3d", "CosineSimilarity", "CrossMapLRN2d", "Dropout", "Dropout1d", "Dropout2d",
    "Dropout3d", "ELU", "Embedding", "EmbeddingBag", "FeatureAlphaDropout", "Flatten", "Fold", "FractionalMaxPool2d",
    "FractionalMaxPool3d", "GELU", "GLU", "GRU", "GRUCell", "GroupNorm", "Hardshrink", "Hardsigmoid", "Hardswish",
    "Hardtanh", "Identity", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "LPPool1d", "LPPool2d", "LPPool3d",
    "LSTM", "LSTMCell", "LayerNorm", "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d",
    "LazyConv2d", "LazyConv3d", "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d",
    "LazyInstanceNorm1d", "LazyInstanceNorm2d", "LazyInstanceNorm3d", "LazyLinear", "LeakyReLU", "Linear",
    "LocalResponseNorm", "LogSigmoid", "LogSoftmax", "MaxPool1d", "MaxPool2d", "MaxPool3d", "Mish",
    "MultiheadAttention", "PReLU", "PairwiseDistance", "PixelShuffle", "PixelUnshuffle", "RMSNorm", "RNN", "RNNCell",
    "RReLU", "ReLU", "ReLU6", "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d",
    "ReplicationPad2d", "ReplicationPad3d", "SELU", "SiLU", "Sigmoid", "Softmax", "Softmax2d", "Softmin", "Softplus",
    "Softshrink", "Softsign", "SyncBatchNorm", "Tanh", "Tanhshrink", "Threshold", "Transformer", "TransformerDecoder",
    "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer", "Unflatten", "Unfold", "Upsample",
    "UpsamplingBilinear2d", "UpsamplingNearest2d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
)  # fmt: skip
OPTIMIZERS = (
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon", "NAdam", "RAdam", "RMSprop",
    "Rprop", "SGD", "SparseAdam",
)  # fmt: skip
SCHEDULERS = (
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LinearLR", "MultiStepLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
)  # fmt: skip
TRANSFORMERS_SCHEDULES = (
    "get_constant_schedule", "get_constant_schedule_with_warmup", "get_cosine_schedule_with_warmup",
    "get_cosine_with_hard_restarts_schedule_with_warmup", "get_cosine_with_min_lr_schedule_with_warmup",
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate", "get_inverse_sqrt_schedule",
    "get_linear_schedule_with_warmup", "get_polynomial_decay_schedule_with_warmup", "get_scheduler", "get_wsd_schedule",
)  # fmt: skip
TRANSFORMS = (
    "AugMix", "AutoAugment", "AutoAugmentPolicy", "CenterCrop", "ColorJitter", "Compose", "ConvertImageDtype",
    "ElasticTransform", "FiveCrop", "GaussianBlur", "Grayscale", "InterpolationMode", "LinearTransformation",
    "Normalize", "PILToTensor", "Pad", "RandAugment", "RandomAdjustSharpness", "RandomAffine", "RandomApply",
    "RandomAutocontrast", "RandomChoice", "RandomCrop", "RandomEqualize", "RandomErasing", "RandomGrayscale",
    "RandomHorizontalFlip", "RandomInvert", "RandomOrder", "RandomPerspective", "RandomPosterize", "RandomResizedCrop",
    "RandomRotation", "RandomSolarize", "RandomVerticalFlip", "Resize", "TenCrop", "ToPILImage", "ToTensor",
    "TrivialAugmentWide",
)  # fmt: skip
NEW_TRANSFORMS = (
    "ClampBoundingBoxes", "ClampKeyPoints", "ConvertBoundingBoxFormat", "CutMix", "GaussianNoise", "Identity", "JPEG",
    "MixUp", "RGB", "RandomChannelPermutation", "RandomIoUCrop", "RandomPhotometricDistort", "RandomResize",
    "RandomShortestSize", "RandomZoomOut", "SanitizeBoundingBoxes", "SanitizeKeyPoints", "ScaleJitter", "ToDtype",
    "ToImage", "ToPureTensor", "UniformTemporalSubsample",
)  # fmt: skip
"""Transforms that only version 2 of torchvision's transforms has. `Lambda` is left out of both: it takes a function."""
SKLEARN_METRICS = (
    "accuracy_score", "balanced_accuracy_score", "cohen_kappa_score", "d2_absolute_error_score", "d2_pinball_score",
    "d2_tweedie_score", "explained_variance_score", "f1_score", "fbeta_score", "hamming_loss", "jaccard_score",
    "matthews_corrcoef", "max_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_gamma_deviance",
    "mean_pinball_loss", "mean_poisson_deviance", "mean_squared_error", "mean_squared_log_error",
    "mean_tweedie_deviance", "median_absolute_error", "precision_score", "r2_score", "recall_score",
    "root_mean_squared_error", "root_mean_squared_log_error", "zero_one_loss",
)  # fmt: skip
SCIPY_METRICS = ("kendalltau", "pearsonr", "spearmanr", "weightedtau")
AUTO_CLASSES = {
    "AutoConfig": "for_model",
    "AutoModelForImageClassification": "from_config",
    "AutoModelForQuestionAnswering": "from_config",
    "AutoModelForSemanticSegmentation": "from_config",
    "AutoModelForSequenceClassification": "from_config",
    "AutoModelForTokenClassification": "from_config",
}
"""The Auto classes of transformers that build without files, and the method that does."""
AUTO_MAPPINGS = (
    "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES", "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES",
    "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES", "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES",
)  # fmt: skip
"""The architectures of these Auto classes have the outputs that zoo's tasks need."""
_AUTO = "transformers.models.auto"

Names = tuple[str, ...] | Callable[[str], Iterable[str]]
"""Names of a module, or a function that returns them for the name of the module."""


def _exported(module: str) -> Iterable[str]:
    names: Iterable[str] = importlib.import_module(module).__all__
    return names


def _functions(module: str) -> Iterable[str]:
    """Return the public functions that a module of this project defines."""
    found = importlib.import_module(module)
    return [
        name
        for name, value in vars(found).items()
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", "") == module
    ]


def _metrics(module: str) -> Iterable[str]:
    """Return the metrics of a module: functions whose first argument is one of `METRIC_ARRAYS`."""
    found = importlib.import_module(module)
    parameters = {name: list(inspect.signature(getattr(found, name)).parameters) for name in _functions(module)}
    return [name for name, names in parameters.items() if {*names[:1]} & {*METRIC_ARRAYS}]


def _torchvision_builders(module: str) -> Iterable[str]:
    found = importlib.import_module(module)
    builders = importlib.import_module(TORCHVISION).list_models()
    return [name for name in builders if callable(getattr(found, name, None))]


def _timm_builders(module: str) -> Iterable[str]:
    """Return the builders of timm, which need not be installed."""
    return () if importlib.util.find_spec("timm") is None else importlib.import_module("timm").list_models()


def _transformers_models(module: str) -> Iterable[str]:
    """Return the architectures of the listed Auto classes, and the configurations of these architectures."""
    models = importlib.import_module(f"{_AUTO}.modeling_auto")
    configs = importlib.import_module(f"{_AUTO}.configuration_auto").CONFIG_MAPPING_NAMES
    names = dict.fromkeys(AUTO_CLASSES)
    for mapping in AUTO_MAPPINGS:
        for kind, model in getattr(models, mapping).items():
            names |= dict.fromkeys([model] if isinstance(model, str) else model)
            names |= {configs[kind]: None} if kind in configs else {}
    return names


def _transformers_tokenizers(module: str) -> Iterable[str]:
    mapping = importlib.import_module(f"{_AUTO}.tokenization_auto").TOKENIZER_MAPPING_NAMES
    tokenizers = [names if isinstance(names, tuple | list) else (names,) for names in mapping.values()]
    listed = {name for names in tokenizers for name in names if name}
    return listed | {f"{name}Fast" for name in listed if not name.endswith("Fast")}  # both names are in use


TORCHVISION_PARTS = ("", ".segmentation", ".detection", ".video", ".quantization")
_IMAGES: Mapping[str, Names] = {
    "torchvision.transforms.v2": (*TRANSFORMS, *NEW_TRANSFORMS),
    "torchvision.transforms": TRANSFORMS,
    "zoo.tasks.transforms": ("PadTo", "ShorterSide", "TimmAutoAugment"),
}
ALLOWED: Mapping[str, Mapping[str, Names]] = {
    "task": {"zoo.tasks": _exported},
    "model": {
        "zoo.models": _exported,
        **{f"{TORCHVISION}{part}": _torchvision_builders for part in TORCHVISION_PARTS},
        "torch.nn": LAYERS,
        "transformers": _transformers_models,
        "timm.models": _timm_builders,
        "timm": ("create_model",),
    },
    "tokenizer": {"zoo.tokenizers": _functions, "transformers": _transformers_tokenizers},
    "metrics": {
        **dict.fromkeys(FIELDS["metrics"].namespaces, _metrics),
        "sklearn.metrics": SKLEARN_METRICS,
        "scipy.stats": SCIPY_METRICS,
    },
    "optimizer": {"torch.optim": OPTIMIZERS, "transformers": ("Adafactor",)},
    "schedule": {
        "harness.schedules": _functions,
        "torch.optim.lr_scheduler": SCHEDULERS,
        "transformers": TRANSFORMERS_SCHEDULES,
        "transformers.optimization": TRANSFORMERS_SCHEDULES,
    },
    "loss": {"harness.losses": _exported, "torch.nn": LOSSES},
    "preprocessing": {"zoo.preprocessing": ("published",)},
    "train_transforms": _IMAGES,
    "eval_transforms": _IMAGES,
}
"""For each field that holds a call, the modules and the names in them that a recipe may use."""


def names_in(module: str, field: str) -> frozenset[str]:
    """Return the names of a module that a recipe may use in a field. Raises ModuleNotFoundError."""
    names = ALLOWED[field].get(module, ())
    if not callable(names):
        return frozenset(names)
    return frozenset(names(module)) if is_ours(module) else _enumerated(names, module)


def namespace_of(name: str, field: str) -> str:
    """Return the module that a bare name of a field is looked up in; the first one if none has the name."""
    namespaces = FIELDS[field].namespaces
    return next((each for each in namespaces if name in names_in(each, field)), namespaces[0])


@cache
def _enumerated(names: Callable[[str], Iterable[str]], module: str) -> frozenset[str]:
    return frozenset(names(module))


def is_allowed(path: str, field: str) -> bool:
    """Return whether a recipe may use a dotted name in a field without `--trust`."""
    module, _, name = path.rpartition(".")
    return module in ALLOWED[field] and name in names_in(module, field)


def is_standard_library(path: str) -> bool:
    """Return whether a dotted name is in a module of Python itself."""
    return path.split(".", maxsplit=1)[0] in sys.stdlib_module_names


def is_ours(path: str) -> bool:
    """Return whether a dotted name is in this project, whose code checks its arguments itself."""
    return is_part_of(path, ("zoo", "harness"))
