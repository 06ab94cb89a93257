"""What a stage minimises: a student and the weighted terms of its criterion, as one module."""

from collections.abc import Mapping

from torch import Tensor, nn

from harness.observation import Observation, observe
from zoo.build import Builder
from zoo.recipe import Term
from zoo.tasks.base import Batch


class Objective(nn.Module):
    """Student and terms together, so that optimisers, wrappers and checkpoints see every learned parameter."""

    def __init__(self, student: nn.Module, terms: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.student, self.terms, self.weights = student, nn.ModuleDict(terms), dict(weights)

    def forward(self, batch: Batch, teacher: Observation | None) -> dict[str, Tensor]:
        """Every term's loss under its name, unweighted, and their weighted sum as `total`; scalars."""
        student = observe(self.student, batch.inputs)
        losses = {name: term(student, teacher, batch.labels) for name, term in self.terms.items()}
        total = sum(self.weights[name] * loss for name, loss in losses.items())
        return {**losses, "total": total}


def build_objective(student: nn.Module, criterion: Mapping[str, Term], builder: Builder) -> Objective:
    """The objective of a criterion; raises RecipeError where a loss cannot be built."""
    terms = {name: builder.build(term.loss, "loss") for name, term in criterion.items()}
    return Objective(student, terms, {name: term.weight for name, term in criterion.items()})
