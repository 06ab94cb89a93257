"""A model of a configuration, as a recipe needs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import Mark, Problem
from zoo.importers.torchdistill.items import BlockedError


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
