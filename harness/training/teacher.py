"""The frozen models of a stage, run on every batch.

They stand outside the objective: in `eval()`, because in train mode BatchNorm statistics would drift, and under
`no_grad`, not `inference_mode`, because a student cannot save inference tensors for its backward pass.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from harness.models.memory_format import place_model
from harness.models.outputs import ModelOutputs, run_model
from harness.training.objective import ModelReads
from zoo.fetch.fetched import Fetched
from zoo.recipes.build import Builder
from zoo.recipes.load_model import load_model
from zoo.recipes.values import Call
from zoo.tasks.base import Batch, Inputs, Split
from zoo.tasks.padding import pad_batch

TeacherOutputs = Callable[[Batch], dict[str, ModelOutputs]]
"""Returns the outputs of the frozen models for a batch, by name."""


@dataclass(frozen=True)
class TeacherWeights:
    """A teacher's architecture, its verified weights, and what it was trained on."""

    model: Call
    weights: Fetched | None = None
    """None for a teacher that is trained from scratch."""
    task: Call | None = None
    """The task of the entry that the weights come from; None for weights that the recipe names itself."""
    class_names: tuple[str, ...] = ()
    """The names of that task's classes, in the order of the outputs; empty if they are not known."""


def build_teacher(teacher: TeacherWeights, builder: Builder) -> nn.Module:
    """Return the model with its weights; raises UsageError if the two do not fit."""
    if teacher.weights is not None:
        return load_model(teacher.model, teacher.weights, builder)
    return builder.instance(teacher.model, "model", nn.Module)


class LiveTeachers:
    """Run the teachers on every batch that the student sees.

    Args:
        models: The frozen models by name.
        needs: What the terms read of each model. A model that no term reads is not run.
        device: The device of models and batches.
        splits: The inputs of the teachers that have their own task or tokenizer.
    """

    def __init__(
        self,
        models: Mapping[str, nn.Module],
        needs: Mapping[str, ModelReads],
        device: torch.device,
        splits: Mapping[str, Split] | None = None,
    ) -> None:
        self.splits, self.device = splits or {}, device
        self.models = {name: place_model(model, device).eval().requires_grad_(False) for name, model in models.items()}
        self.needs = {name: needs[name] for name in models if name in needs and needs[name] != ModelReads()}

    def __call__(self, batch: Batch, *, to_the_end: bool = False) -> dict[str, ModelOutputs]:
        """Return the teachers' outputs for a batch; with `to_the_end` no forward pass stops at its last feature."""
        with torch.no_grad():
            return {
                name: run_model(
                    self.models[name],
                    self.inputs(name, batch, self.device),
                    need.features,
                    logits=need.logits or to_the_end,
                )
                for name, need in self.needs.items()
            }

    @property
    def fixed(self) -> bool:
        """Whether the teachers with their own task or tokenizer get the same inputs for a row at every call."""
        return all(getattr(split, "fixed", False) for split in self.splits.values())

    def inputs(self, name: str, batch: Batch, device: torch.device) -> Inputs:
        """Return the inputs of a teacher for the rows of a batch: those of the batch, or those of its own task."""
        split = self.splits.get(name)
        if split is None:
            return batch.inputs
        own = split.batch(batch.ids.tolist(), device)
        return pad_batch(own, *batch.labels.shape[-2:]).inputs if batch.labels.dim() == 3 else own.inputs
