"""Outputs and intermediate features of a model for one batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from harness.models.cls_token_pruning import cls_token_pruning
from harness.models.feature_hooks import feature_hooks
from zoo.errors import UsageError
from zoo.tasks.base import Inputs

TOKENS = "TokenClassifierOutput"
"""The class of transformers for logits of tokens; importing it takes seconds."""


@dataclass(frozen=True)
class ModelOutputs:
    """Logits and intermediate features of a model for one batch.

    Attributes:
        output: Logits `(B, C)`; None if the forward pass stopped at the last feature.
        features: Tensors by feature path; also available as `outputs["layer1:output"]`.
    """

    output: Tensor | None = None
    features: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def logits(self) -> Tensor:
        """Logits `(B, C)`.

        Raises:
            UsageError: The model computed no logits, because no loss declares that it reads them.
        """
        if self.output is None:
            raise UsageError(
                "a loss reads logits but does not declare it: set `reads_logits = True`,"
                " and `needs_teacher = True` to read a teacher's"
            )
        return self.output

    def __getitem__(self, path: str) -> Tensor:
        if path not in self.features:
            available = ", ".join(map(repr, self.features)) or "none"
            raise UsageError(
                f"a loss reads the feature {path!r} but does not declare it: add exactly this path to"
                f" `student_features` or `teacher_features`; declared features: {available}"
            )
        return self.features[path]

    def map(self, function: Callable[[Tensor], Tensor]) -> "ModelOutputs":
        """Return the outputs with `function` applied to every tensor."""
        output = None if self.output is None else function(self.output)
        return ModelOutputs(output, {path: function(value) for path, value in self.features.items()})

    def detach(self) -> "ModelOutputs":
        """Return the same values, detached from the graph."""
        return self.map(torch.Tensor.detach)


def run_model(model: nn.Module, inputs: Inputs, paths: Sequence[str] = (), *, logits: bool = True) -> ModelOutputs:
    """Run the model and return its logits and the features at `paths`.

    Without paths, computations that cannot affect the logits may be skipped (see `cls_token_pruning`). Tensors in half
    precision are converted to single precision for the losses.

    Args:
        model: A model that returns one of: a tensor of logits; a tuple that starts with it; an object with `.logits`,
            as in transformers; or a mapping with the key `out`, as torchvision's segmentation models return. The
            logits of tokens `(B, L, C)` of transformers become `(B, C, L)`, and its `start_logits` and `end_logits`
            `(B, L, 2)`, so that dimension 1 always counts what is chosen from.
        inputs: A tensor, passed as the only argument, or a mapping, passed as keyword arguments.
        paths: Feature paths to read; see `harness.models.feature_hooks`.
        logits: Whether the logits are needed. If not, the forward pass stops at the last feature.

    Raises:
        UsageError: The model returns no logits, or a feature path cannot be read.
    """
    output: Tensor | None = None
    with feature_hooks(model, paths, stop=not logits) if paths else cls_token_pruning(model) as features:
        output = _logits(model(inputs) if isinstance(inputs, Tensor) else model(**inputs))
    return ModelOutputs(output, features).map(_to_single_precision)


def _logits(output: Any) -> Tensor:
    if hasattr(output, "start_logits"):
        return torch.stack([output.start_logits, output.end_logits], dim=-1)
    if type(output).__name__ == TOKENS:
        return output.logits.transpose(1, 2)  # type: ignore[no-any-return]
    logits = output[0] if isinstance(output, tuple | list) and output else getattr(output, "logits", output)
    logits = logits.get("out") if isinstance(logits, Mapping) else logits
    if not isinstance(logits, Tensor):
        raise UsageError(
            f"the model returns {type(output).__name__}; it must return a tensor of logits, or an object with `.logits`"
        )
    return logits


def _to_single_precision(value: Tensor) -> Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
