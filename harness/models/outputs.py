"""What is seen of a model on one batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from harness.models.cls_token_pruning import cls_token_pruning
from harness.models.feature_hooks import feature_hooks
from zoo.errors import UsageError
from zoo.tasks.base import Inputs


@dataclass(frozen=True)
class ModelOutputs:
    """A model's output on a batch, logits `(B, C)`, and what its taps read, `observation["layer1:output"]`.

    The output is None where the forward was stopped at the last tap.
    """

    output: Tensor | None = None
    taps: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def logits(self) -> Tensor:
        """The output; raises UsageError where no loss declared that it reads it, so the forward did not get there."""
        if self.output is None:
            raise UsageError("a loss reads logits and does not say so: reads_logits, and needs_teacher for a teacher's")
        return self.output

    def __getitem__(self, path: str) -> Tensor:
        if path not in self.taps:
            seen = ", ".join(map(repr, self.taps)) or "nothing"
            raise UsageError(
                f"{path!r} was not read: student_features or teacher_features must name it just so; read was {seen}"
            )
        return self.taps[path]

    def map(self, function: Callable[[Tensor], Tensor]) -> "ModelOutputs":
        """The function applied to every tensor."""
        output = None if self.output is None else function(self.output)
        return ModelOutputs(output, {path: function(value) for path, value in self.taps.items()})

    def detach(self) -> "ModelOutputs":
        """The same values outside the graph."""
        return self.map(torch.Tensor.detach)


def run_model(model: nn.Module, inputs: Inputs, paths: Sequence[str] = (), *, logits: bool = True) -> ModelOutputs:
    """Run the model and read its taps, only as far as the last of them unless `logits` are wanted.

    Where there are none, what logits do not need may be left out: `first_token_only`.

    Its output is a tensor of logits, a tuple that begins with them, an object of transformers that carries them, or a
    mapping that has them as `out`, as torchvision's models of segmentation return.
    What was computed in half precision is handed on in single, for the losses.
    """
    found: list[Tensor] = []
    with feature_hooks(model, paths, stop=not logits) if paths else cls_token_pruning(model) as seen:
        output = model(inputs) if isinstance(inputs, Tensor) else model(**inputs)
        found.append(_logits(output))
    return ModelOutputs(found[0] if found else None, seen).map(_single)


def _logits(output: Any) -> Tensor:
    found = output[0] if isinstance(output, tuple | list) and output else getattr(output, "logits", output)
    found = found.get("out") if isinstance(found, Mapping) else found
    if not isinstance(found, Tensor):
        raise UsageError(f"the model returns {type(output).__name__}; a tensor of logits, or `.logits`, is needed")
    return found


def _single(value: Tensor) -> Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
