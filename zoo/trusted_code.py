"""The packages that recipes use, and the properties that zoo assumes of their code."""

from collections.abc import Iterable
from typing import Any

KNOWN_PACKAGES = (
    "zoo", "harness", "torch", "torchvision", "transformers", "timm", "sklearn", "scipy", "datasets", "evaluate",
)  # fmt: skip
"""Packages of which recipes name classes and functions: without `--trust` those that `zoo.recipes.allowed` lists."""

RUN_FOREIGN_CODE = (
    "torch.load", "torch.serialization", "torch.hub", "torch.jit", "torch.package", "torch.utils.cpp_extension",
    "torch.ops", "torch.classes", "evaluate.load", "evaluate.loading", "datasets.load", "datasets.load_dataset",
    "datasets.load_dataset_builder", "transformers.pipeline", "transformers.pipelines", "transformers.utils",
    "transformers.dynamic_module_utils",
)  # fmt: skip
"""Parts of these packages that unpickle, or run code that they receive; no recipe may name them."""

FOREIGN_CODE_KEYS = (
    "auto_map", "code_revision", "custom_generate", "custom_pipelines", "kernel_config", "trust_remote_code",
    "use_kernels",
)  # fmt: skip
"""Settings of transformers that run code of a repository."""

VERSION_TELLS_OUTPUTS = ("zoo", "torch", "torchvision", "transformers")
"""Models of these packages compute the same for the same version and weights, so their outputs can be cached."""

ANY_MEMORY_FORMAT = ("zoo", "torchvision")
"""Models of these packages do not depend on the order of their tensors in memory, as a `view` of foreign code might."""

THREAD_SAFE_FORWARD = ("zoo", "torchvision", "transformers")
"""Models of these packages store nothing during a forward pass, so several threads may run one model."""

TRANSFORMERS = ("transformers",)
"""Tokenizers of this package are determined by their saved state."""

STANDARD_LAYERS = ("torch.nn", "transformers")
"""Layers of these packages treat every token alike outside of attention."""

WITHOUT_DECLARATIONS = ("torch", "builtins")
"""Classes of these packages declare no needs of a loss; some of their attributes have similar names."""

STANDALONE_FILES = ("zoo.models",)
"""The file of such a model imports only torch, so that it can be copied beside weights."""


def is_part_of(path: str, names: Iterable[str]) -> bool:
    """Return whether a dotted path is one of `names` or lies below one of them: `torch.nn` but not `torchvision`."""
    return any(f"{path}.".startswith(f"{name}.") for name in names)


def comes_from(value: Any, names: Iterable[str]) -> bool:
    """Return whether the class of a value is defined in one of these packages or modules."""
    return is_part_of(type(value).__module__, names)
