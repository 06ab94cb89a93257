"""The modules that a stage hooks, as feature paths of a recipe.

In torchdistill a hook sees what a module has left in its input and output, and of a module that runs several times the
last call. torchvision's ResNets work in place: the input of a block's last ReLU is then the block's output. zoo copies
tensors when they are read, so the recipe names the module whose output torchdistill really reads.
"""

import re
from dataclasses import dataclass, field

from zoo.errors import Mark, Problem
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import BlockedError, Item
from zoo.importers.torchdistill.model import Model

LOGITS = ":logits"
"""What `FeatureReader.path` returns for the outputs of the model."""
ROOT = "."
PREFIXES = ("student_model.", "teacher_model.", "model.")
"""Where the auxiliary wrappers keep the model."""
IO = ("input", "output")
_RESNET = re.compile(r"(wide_)?resnet\d+(_\d)?|resnext.*")
_LAST_RELU = re.compile(r"(?P<layer>layer\d)(?P<block>\.-?\d+)\.relu")
_LAST_NORM = re.compile(r"(?P<block>layer\d\.-?\d+)\.bn\d")


@dataclass(frozen=True, kw_only=True)
class FeatureReader:
    """The student or the teacher of a stage, as its losses read it."""

    model: Model
    config: Item
    found: Findings
    aux: str = ""
    """The auxiliary wrapper's name, or nothing."""
    options: Item = field(default_factory=lambda: Item(value={}, mark=Mark(path="", line=1, column=1)))
    """The arguments of the auxiliary wrapper."""

    @property
    def sequential(self) -> list[str]:
        """The modules that the model is cut into; none if it is whole."""
        item = self.config.get("sequential")
        return [part.text for part in item.list] if item else []

    @property
    def outputs(self) -> str:
        """The feature path of what the model returns: LOGITS, or the last part of a model that is cut."""
        parts = self.sequential
        if not parts or parts[-1].startswith("+"):
            return LOGITS
        return self.path(Item(value=parts[-1], mark=self.config.mark), "output")

    def adaptation(self, path: str, mark: Mark) -> tuple[Item, str]:
        """Return the adaptation module `+NAME`, and the path of the module before it."""
        name, parts = path.removeprefix("+"), self.sequential
        adaptations = self.config.get("adaptations")
        item = adaptations.get(name) if adaptations else None
        number = parts.index(f"+{name}") if f"+{name}" in parts else 0
        if item is None or number == 0:
            raise BlockedError(Problem(mark, f"{path} is no adaptation module of this stage"))
        return item, self.path(Item(value=parts[number - 1], mark=mark), "output")

    def path(self, item: Item, io: str) -> str:
        """Return the feature path for a module's input or output; LOGITS for the outputs of the model.

        Args:
            item: The module's path in the configuration.
            io: `input` or `output`.
        """
        if io not in IO:
            raise item.blocked(f"io is 'input' or 'output', not {io!r}")
        path = item.text.removeprefix("+")
        if item.text == ROOT:
            return self.outputs
        path = path.removeprefix(".")
        prefix = next((prefix for prefix in PREFIXES if self.aux and path.startswith(prefix)), "")
        path = path.removeprefix(prefix)
        if io == "output" and self._is_last(path):
            return LOGITS
        if self.model.family == "cifar" and path == "avgpool":
            return "fc:input"
        if self.model.family == "torchvision" and _RESNET.fullmatch(self.model.key):
            return self._in_place(path, io)
        return path if io == "output" else f"{path}:input"

    def _is_last(self, path: str) -> bool:
        last = {"text": ("classifier",), "segmentation": ()}.get(self.model.family, ("fc", "classifier"))
        return path in last

    def _in_place(self, path: str, io: str) -> str:
        """Return the path in a ResNet of torchvision whose output torchdistill really reads."""
        relu, norm = _LAST_RELU.fullmatch(path), _LAST_NORM.fullmatch(path)
        if relu is None and norm is None and path not in ("bn1", "relu"):
            return path if io == "output" else f"{path}:input"
        if relu is not None:
            real = relu["layer"] if relu["block"] == ".-1" else relu["layer"] + relu["block"]
        else:
            real = norm["block"] if norm is not None and path.endswith(("bn2", "bn3")) else "relu"
            if norm is not None and real == "relu":
                raise BlockedError(
                    Problem(self.config.mark, f"{path} is changed in place; read the output of its block")
                )
        if io == "input" or norm is not None or path == "bn1":
            self.found.differ(
                f"{path} ({io}) is overwritten in place before torchdistill reads it, so it holds the output of {real};"
                f" the recipe reads {real}"
            )
        return real
