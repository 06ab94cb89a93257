"""What a stage minimises: the models that learn and the weighted terms of its criterion, as one module."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from harness.models.outputs import ModelOutputs, run_model
from zoo.errors import RecipeError, UsageError, did_you_mean
from zoo.recipes.build import Builder
from zoo.recipes.schema import STUDENT, Stage
from zoo.tasks.base import Batch


@dataclass(frozen=True)
class ModelReads:
    """What the terms read of one model."""

    taps: tuple[str, ...] = ()
    logits: bool = False


@dataclass(frozen=True)
class TermRoles:
    """Which models stand in the student's and the teacher's place of a term, and the term's factor in the sum."""

    student: str
    teacher: str | None
    weight: float


class Objective(nn.Module):
    """Models that learn, and terms: so that optimisers, wrappers and checkpoints see every learned parameter."""

    def __init__(
        self, models: Mapping[str, nn.Module], terms: Mapping[str, nn.Module], places: Mapping[str, TermRoles]
    ):
        super().__init__()
        self.student, self.places = models[STUDENT], dict(places)
        self.teachers = nn.ModuleDict({name: model for name, model in models.items() if name != STUDENT})
        self.terms = nn.ModuleDict(terms)
        self.needs = {name: _need(name, terms, places) for name in (*models, *_teachers(places))}
        self.frozen: tuple[nn.Module, ...] = ()

    @property
    def models(self) -> dict[str, nn.Module]:
        """The models that learn, by name."""
        return {STUDENT: self.student, **self.teachers}

    def forward(self, batch: Batch, observed: Mapping[str, ModelOutputs]) -> dict[str, Tensor]:
        """Every term's loss under its name, unweighted, and their weighted sum as `total`; scalars.

        `observed` is what was seen of the frozen models. Those that learn are run here, if a term reads them.
        """
        seen = {**observed, **self.observe(batch)}
        losses: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            student, teacher = self._seen_by(name, seen)
            losses[name] = _loss(name, term, student, teacher, batch)
        total: Any = sum(self.places[name].weight * loss for name, loss in losses.items())
        return {**losses, "total": total}

    def observe(self, batch: Batch, *, whole: bool = False) -> dict[str, ModelOutputs]:
        """What is read of the models that learn; with `whole` the forward never stops at the last tap."""
        reads = [(name, model, self.needs[name]) for name, model in self.models.items()]
        return {
            name: run_model(model, batch.inputs, need.taps, logits=need.logits or whole)
            for name, model, need in reads
            if need.taps or need.logits
        }

    @torch.no_grad()
    def build_adapters(self, batch: Batch, observed: Mapping[str, ModelOutputs]) -> None:
        """Let terms make their adapters for the shapes that two examples have; nothing is drawn, nothing moves.

        Raises UsageError for a tap that cannot be read, and ValueError where a term cannot do with the shapes.
        """
        self.eval()
        seen = {**observed, **self.observe(batch, whole=True)}
        for name, term in self.terms.items():
            build = getattr(term, "build_adapters", None)
            if callable(build):
                build(*self._seen_by(name, seen))
        self.to(batch.labels.device)

    def freeze(self, trainable: Mapping[str, Sequence[str] | None]) -> None:
        """Leave of each model only the parts at these paths to learn; None leaves all of it.

        Frozen parameters take no gradient; frozen modules are in `eval()` whatever mode the objective is in. Raises
        UsageError for a path that nothing is at.
        """
        frozen: list[nn.Module] = []
        for model_name, paths in trainable.items():
            if paths is None:
                continue
            model = self.models[model_name]
            modules, names = dict(model.named_modules()), _parameter_names(model)
            require_matches(paths, [name for several in names.values() for name in several] + list(modules))
            learning = [name for several in names.values() for name in several if matches(name, paths)]
            for parameter, several in names.items():
                parameter.requires_grad_(parameter.requires_grad and any(name in learning for name in several))
            for name, module in modules.items():
                above = any(f"{path}.".startswith(f"{name}.") for path in learning) or not name
                if not matches(name, paths) and not above:
                    frozen.append(module)
        self.frozen = tuple(frozen)

    def train(self, mode: bool = True) -> "Objective":
        """Set the mode of all but the frozen parts."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def parameter_groups(self, groups: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What an optimiser takes: the parameters that learn, those at each path with its settings; of two the later.

        Raises UsageError for a path that nothing which learns is at.
        """
        learning = {
            parameter: [name.removeprefix("student.") for name in names]
            for parameter, names in _parameter_names(self).items()
            if parameter.requires_grad
        }
        require_matches(groups, [name for names in learning.values() for name in names])
        found: dict[str, dict[str, Any]] = {}
        for parameter, names in learning.items():
            settings: dict[str, Any] = {}
            for path, given in groups.items():
                settings |= given if any(matches(name, [path]) for name in names) else {}
            found.setdefault(repr(sorted(settings.items())), {"params": [], **settings})["params"].append(parameter)
        return list(found.values())

    def _seen_by(self, term: str, seen: Mapping[str, ModelOutputs]) -> tuple[ModelOutputs, ModelOutputs | None]:
        place = self.places[term]
        teacher = None if place.teacher is None else seen.get(place.teacher, ModelOutputs()).detach()
        return seen.get(place.student, ModelOutputs()), teacher


def build_objective(models: Mapping[str, nn.Module], stage: Stage, builder: Builder) -> Objective:
    """The objective of a stage over the models that learn in it; raises RecipeError where a loss cannot be built."""
    terms = {name: builder.build(term.loss, "loss") for name, term in stage.criterion.items()}
    places = {
        name: TermRoles(term.student, stage.teacher_of(term), term.weight) for name, term in stage.criterion.items()
    }
    for name, term in terms.items():
        if not isinstance(term, nn.Module):
            raise RecipeError.at(stage.criterion[name].loss.mark, f"{name} is no nn.Module: {type(term).__name__}")
        if getattr(term, "needs_teacher", False) and places[name].teacher is None:
            raise RecipeError.at(stage.criterion[name].loss.mark, f"{name} compares with a teacher, and has none")
    read = {model for place in places.values() for model in (place.student, place.teacher)}
    for name, teacher in stage.all_teachers.items():
        if name not in read:
            mark = teacher.marks.get("model", stage.optimizer.mark)
            raise RecipeError.at(mark, f"no term reads the teacher {name!r}")
    try:
        return Objective(models, terms, places)
    except KeyError as error:  # of nn.ModuleDict, whose own methods cannot be names in it
        mark = stage.marks.get("criterion", stage.optimizer.mark)
        raise RecipeError.at(mark, f"no term or teacher can have this name: {error.args[0]}") from None


def _loss(name: str, term: nn.Module, student: ModelOutputs, teacher: ModelOutputs | None, batch: Batch) -> Tensor:
    """A term's loss; raises UsageError, naming the term, where its code is wrong or it is no scalar."""
    try:
        with torch.autocast(batch.labels.device.type, enabled=False):  # products in half precision overflow, or cancel
            loss: Tensor = term(student, teacher, batch if getattr(term, "reads_batch", False) else batch.labels)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise UsageError(f"the term {name!r}: {type(error).__name__}: {error}") from error
    if not isinstance(loss, Tensor) or loss.dim():
        found = f"a tensor {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise UsageError(f"the term {name!r} returns {found}, not a scalar tensor: the mean over the batch")
    return loss


def _parameter_names(module: nn.Module) -> dict[nn.Parameter, list[str]]:
    """Every parameter with all its names: a tied one has several."""
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    return names


def matches(name: str, paths: Iterable[str]) -> bool:
    """Whether a module or parameter is at one of the paths, or below it."""
    return any(fnmatchcase(name, path) or fnmatchcase(name, f"{path}.*") for path in paths)


def require_matches(paths: Iterable[str], names: Iterable[str]) -> None:
    """Raise UsageError, naming the nearest, for the first path that none of the names is at."""
    known = [name for name in names if name]
    for path in paths:
        if not any(matches(name, [path]) for name in known):
            raise UsageError(f"there is nothing to train at {path!r}{did_you_mean(path, known)}")


def _teachers(places: Mapping[str, TermRoles]) -> list[str]:
    return [place.teacher for place in places.values() if place.teacher is not None]


def _need(model: str, terms: Mapping[str, nn.Module], places: Mapping[str, TermRoles]) -> ModelReads:
    paths: dict[str, None] = {}
    logits = False
    for name, term in terms.items():
        place = places[name]
        as_student, as_teacher = place.student == model, place.teacher == model
        paths |= dict.fromkeys(getattr(term, "student_features", ()) if as_student else ())
        paths |= dict.fromkeys(getattr(term, "teacher_features", ()) if as_teacher else ())
        reads_teacher = as_teacher and getattr(term, "needs_teacher", False)
        logits = logits or (getattr(term, "reads_logits", True) and (as_student or reads_teacher))
    return ModelReads(tuple(paths), logits)
