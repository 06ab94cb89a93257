"""The objective of a stage: the models that learn and the weighted terms of its criterion, as one module."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.losses.base import adapter_builder
from harness.losses.torch_losses import adapted
from harness.models.outputs import ModelOutputs, run_model
from harness.training.parameters import freeze_all_but, parameter_groups
from zoo.errors import RecipeError, UsageError
from zoo.recipes.build import Builder
from zoo.recipes.loss_needs import LossNeeds, needs_of
from zoo.recipes.stage import STUDENT, Stage
from zoo.tasks.base import Batch


@dataclass(frozen=True)
class ModelReads:
    """The outputs of one model that the terms of a stage read: the paths of features, and whether they read logits."""

    features: tuple[str, ...] = ()
    logits: bool = False


@dataclass(frozen=True)
class TermRoles:
    """The models that a term compares as its student and its teacher, and the weight of the term in the sum."""

    student: str
    teacher: str | None
    weight: float


class Objective(nn.Module):
    """The models that learn and the terms, so that optimizers, wrappers and checkpoints see every learned parameter.

    Args:
        models: The models that learn, by name; the student is one of them.
        terms: The losses, by name.
        roles: For each term, the models it compares and its weight.
    """

    def __init__(self, models: Mapping[str, nn.Module], terms: Mapping[str, nn.Module], roles: Mapping[str, TermRoles]):
        super().__init__()
        self.student, self.roles = models[STUDENT], dict(roles)
        self.teachers = nn.ModuleDict({name: model for name, model in models.items() if name != STUDENT})
        self.terms = nn.ModuleDict(terms)
        self.term_needs = {name: needs_of(term) for name, term in terms.items()}
        teachers = [role.teacher for role in roles.values() if role.teacher is not None]
        self.needs = {name: _reads_of(name, self.term_needs, roles) for name in (*models, *teachers)}
        self._frozen: tuple[nn.Module, ...] = ()

    @property
    def models(self) -> dict[str, nn.Module]:
        """The models that learn, by name."""
        return {STUDENT: self.student, **self.teachers}

    def forward(
        self, batch: Batch, frozen_outputs: Mapping[str, ModelOutputs], shares: Mapping[str, float] | None = None
    ) -> dict[str, Tensor]:
        """Compute the loss of every term for a batch.

        Args:
            batch: The rows to train on. The models that learn are run on them here, if a term reads them.
            frozen_outputs: The outputs of the frozen models for these rows, by name.
            shares: For a part of a batch, the share of every term's mean that these rows have; by default all of it.

        Returns:
            The unweighted loss of every term under its name, times its share, and their weighted sum as `total`; all
            are scalars.
        """
        outputs = {**frozen_outputs, **self.run_models(batch)}
        losses: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            student, teacher = self._outputs_for(name, outputs)
            target = batch if self.term_needs[name].reads_batch else batch.labels
            if shares is not None and shares[name] == 0:  # the mean over no row is NaN
                losses[name] = _zero(outputs, term)
                continue
            losses[name] = _loss(name, term, student, teacher, target, batch.labels.device)
            losses[name] = losses[name] if shares is None else losses[name] * shares[name]
        total: Any = sum(self.roles[name].weight * loss for name, loss in losses.items())
        return {**losses, "total": total}

    def run_models(self, batch: Batch, *, to_the_end: bool = False) -> dict[str, ModelOutputs]:
        """Return the outputs of the models that learn, but only the outputs that a term reads.

        With `to_the_end` a forward pass never stops at the last feature that is read.
        """
        reads = [(name, model, self.needs[name]) for name, model in self.models.items()]
        return {
            name: run_model(model, batch.inputs, read.features, logits=read.logits or to_the_end)
            for name, model, read in reads
            if read.features or read.logits
        }

    @torch.no_grad()
    def build_adapters(self, batch: Batch, frozen_outputs: Mapping[str, ModelOutputs]) -> None:
        """Let the terms build their learned parts for the shapes that a small batch has.

        The models run in `eval()`, so that they draw no random number and change no statistics.

        Raises:
            UsageError: A feature cannot be read.
            ValueError: The shapes do not fit a term.
        """
        self.eval()
        outputs = {**frozen_outputs, **self.run_models(batch, to_the_end=True)}
        for name, term in self.terms.items():
            if build := adapter_builder(term):
                build(*self._outputs_for(name, outputs))
        self.to(batch.labels.device)

    def freeze(self, trainable: Mapping[str, Sequence[str] | None]) -> None:
        """Freeze all parts of the models but those at the given paths; None leaves a model as it is.

        Frozen parameters get no gradient. Frozen modules stay in `eval()` whatever the mode of the objective.

        Raises:
            UsageError: Nothing is at one of the paths.
        """
        models = [(self.models[name], paths) for name, paths in trainable.items() if paths is not None]
        self._frozen = tuple(module for model, paths in models for module in freeze_all_but(model, paths))

    def train(self, mode: bool = True) -> "Objective":
        """Set the mode of all modules but the frozen ones, which stay in `eval()`."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def parameter_groups(self, groups: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the parameters that learn as an optimizer takes them, with the settings of the recipe's `groups`."""
        return parameter_groups(self, groups, prefix="student.")

    def _outputs_for(self, term: str, outputs: Mapping[str, ModelOutputs]) -> tuple[ModelOutputs, ModelOutputs | None]:
        role = self.roles[term]
        teacher = None if role.teacher is None else outputs.get(role.teacher, ModelOutputs()).detach()
        return outputs.get(role.student, ModelOutputs()), teacher


def build_objective(models: Mapping[str, nn.Module], stage: Stage, builder: Builder) -> Objective:
    """Build the objective of a stage over the models that learn in it.

    Raises:
        RecipeError: A loss cannot be built, a term lacks the teacher it needs, or no term reads a teacher.
    """
    terms = {name: adapted(builder.instance(term.loss, "loss", nn.Module)) for name, term in stage.criterion.items()}
    roles = {
        name: TermRoles(term.student, stage.teacher_of(term), term.weight) for name, term in stage.criterion.items()
    }
    for name, term in terms.items():
        if needs_of(term).needs_teacher and roles[name].teacher is None:
            mark = stage.criterion[name].loss.mark
            raise RecipeError.at(mark, f"{name} needs a teacher to compare with, and the stage has none for it")
    _check_teachers_are_read(stage, roles)
    try:
        return Objective(models, terms, roles)
    except KeyError as error:  # from nn.ModuleDict: the names of its own methods cannot be keys
        mark = stage.marks.get("criterion", stage.optimizer.mark)
        raise RecipeError.at(mark, f"no term or teacher can have this name: {error.args[0]}") from None


def _check_teachers_are_read(stage: Stage, roles: Mapping[str, TermRoles]) -> None:
    read = {model for role in roles.values() for model in (role.student, role.teacher)}
    for name, teacher in stage.all_teachers.items():
        if name not in read:
            mark = teacher.marks.get("model", stage.optimizer.mark)
            raise RecipeError.at(mark, f"no term reads the teacher {name!r}")


def _loss(
    name: str,
    term: nn.Module,
    student: ModelOutputs,
    teacher: ModelOutputs | None,
    target: Tensor | Batch,
    device: torch.device,
) -> Tensor:
    """Return the loss of a term; raises UsageError, naming the term, if its code fails or it is not a scalar."""
    try:
        with torch.autocast(device.type, enabled=False):  # products in half precision overflow, or cancel
            loss: Tensor = term(student, teacher, target)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise UsageError(f"the term {name!r}: {type(error).__name__}: {error}") from error
    if not isinstance(loss, Tensor) or loss.dim():
        returned = f"a tensor {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise UsageError(f"the term {name!r} returns {returned}, not a scalar tensor: the mean over the batch")
    return loss


def _zero(outputs: Mapping[str, ModelOutputs], term: nn.Module) -> Tensor:
    """Return a loss of 0 that depends on all outputs and parameters: processes wait for every gradient."""
    tensors = [tensor for output in outputs.values() for tensor in (output.output, *output.features.values())]
    parts = [part.float().sum() * 0 for part in (*tensors, *term.parameters()) if part is not None]
    return torch.stack(parts).sum()


def _reads_of(model: str, needs: Mapping[str, LossNeeds], roles: Mapping[str, TermRoles]) -> ModelReads:
    paths: dict[str, None] = {}
    logits = False
    for read_paths, reads_logits in _reads_by_term(model, needs, roles):
        paths |= dict.fromkeys(read_paths)
        logits = logits or reads_logits
    return ModelReads(tuple(paths), logits)


def _reads_by_term(
    model: str, needs: Mapping[str, LossNeeds], roles: Mapping[str, TermRoles]
) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield, for each role that a model has in a term, the features that are read of it and whether its logits are."""
    for name, need in needs.items():
        if roles[name].student == model:
            yield need.student_features, need.reads_logits
        if roles[name].teacher == model:
            yield need.teacher_features, need.reads_logits and need.needs_teacher
