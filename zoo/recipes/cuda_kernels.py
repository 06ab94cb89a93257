"""Find what a recipe uses that has no deterministic kernel on a CUDA device; zoo only allows deterministic ones."""

from collections.abc import Iterator
from dataclasses import dataclass

from zoo.errors import Mark
from zoo.recipes.schema import Recipe
from zoo.recipes.walk import walk_calls
from zoo.trusted_code import is_part_of

ON_CPU = tuple(f"torch.nn.{name}" for name in ("CTCLoss", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"))
"""Modules without a deterministic kernel on CUDA devices that zoo computes on the CPU there.

`harness.models.deterministic_kernels` has the kernels of all others that torch lists, but one: the gradient of
`torch.nn.EmbeddingBag` with the mode `max`.
"""
NO_KERNEL = "has no deterministic kernel on a CUDA device"


@dataclass(frozen=True)
class MissingKernel:
    """A call of a recipe without a deterministic kernel, and whether it ends a training on a CUDA device."""

    mark: Mark
    message: str
    is_fatal: bool


def missing_kernels(recipe: Recipe) -> Iterator[MissingKernel]:
    """Yield the calls of a recipe that have no deterministic kernel on a CUDA device."""
    for _, call in walk_calls(recipe):
        if is_part_of(call.use, ON_CPU):
            message = f"{call.use} {NO_KERNEL}: zoo computes a part of it on the CPU there, which is slow"
            yield MissingKernel(call.mark, message, is_fatal=False)
        elif is_part_of(call.use, ("torch.nn.EmbeddingBag",)) and call.args.get("mode") == "max":
            message = f"the gradient of {call.use} with mode: max {NO_KERNEL}, so a training ends there with an error"
            yield MissingKernel(call.mark, message, is_fatal=True)
