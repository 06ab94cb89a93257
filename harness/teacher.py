"""A frozen teacher: outside the objective, in `eval()`, without gradients."""

import torch

from harness.observation import Observation, observe
from zoo import sources, weights
from zoo.build import Builder
from zoo.recipe import Teacher
from zoo.tasks.base import Batch


class LiveTeacher:
    """Runs the teacher on every batch that the student sees.

    `eval()` because in train mode its BatchNorm statistics would drift; `no_grad` and not `inference_mode` because a
    student cannot save inference tensors for its backward pass.
    """

    def __init__(self, recipe: Teacher, *, builder: Builder, device: torch.device) -> None:
        self.source = sources.fetch(recipe.weights)
        self.model = builder.build(recipe.model, "model")
        weights.load_into(self.model, self.source.path)
        self.model.to(device).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Observation:
        return observe(self.model, batch.inputs)
