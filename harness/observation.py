"""What is seen of a model on one batch."""

from dataclasses import dataclass

from torch import Tensor, nn

from zoo.tasks.base import Inputs


@dataclass(frozen=True)
class Observation:
    """A model's outputs on a batch: `logits` of shape `(B, C)`."""

    logits: Tensor


def observe(model: nn.Module, inputs: Inputs) -> Observation:
    """Run the model; its output is a tensor of logits, or an object of transformers that carries them."""
    output = model(inputs) if isinstance(inputs, Tensor) else model(**inputs)
    return Observation(output if isinstance(output, Tensor) else output.logits)
