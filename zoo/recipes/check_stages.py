"""Check the stages of a training: terms, optimizers, and parameters that a stage takes over from an earlier one."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.errors import Problem, UsageError, did_you_mean
from zoo.fetch.build_limits import limit
from zoo.recipes.argument_types import expected, type_hints
from zoo.recipes.build import Builder
from zoo.recipes.loss_needs import needs_of
from zoo.recipes.stage import Stage


def stage_problems(stages: tuple[Stage, ...], builder: Builder) -> Iterator[Problem]:
    """Yield the problems of stages whose names and arguments are right."""
    if problems := list(_declaration_problems(stages, builder)):
        yield from problems
        return
    for stage in stages:
        if stage.epochs > (most := limit("ZOO_MAX_EPOCHS")):
            message = f"epochs is more than {most:,}; ZOO_MAX_EPOCHS raises this limit"
            yield Problem(stage.marks.get("epochs", stage.optimizer.mark), message)
        yield from _terms_without_teacher(stage, builder)
        yield from _optimizer_problems(stage, builder)
    yield from _useless_keeps(stages)
    yield from _teachers_without_weights(stages)
    yield from _missing_parts(stages, builder)


def _declaration_problems(stages: tuple[Stage, ...], builder: Builder) -> Iterator[Problem]:
    """Yield losses with a declaration that is misspelt or of a wrong type."""
    for stage in stages:
        for term in stage.criterion.values():
            try:
                needs_of(builder.target(term.loss, "loss"))
            except UsageError as error:
                yield Problem(term.loss.mark, str(error))


def _terms_without_teacher(stage: Stage, builder: Builder) -> Iterator[Problem]:
    for name, term in stage.criterion.items():
        needs = needs_of(builder.target(term.loss, "loss"))
        if needs.needs_teacher and stage.teacher_of(term) is None:
            others = [teacher for teacher in stage.all_teachers if teacher != term.student]
            several = f"{name} must say which: teacher: one of {', '.join(others)}"
            none = "the stage has none for it; add the key 'teacher' to the stage"
            yield Problem(term.loss.mark, f"{term.loss.use} compares with a teacher, and {several if others else none}")


def _optimizer_problems(stage: Stage, builder: Builder) -> Iterator[Problem]:
    optimizer = builder.target(stage.optimizer, "optimizer")
    closure = inspect.signature(getattr(optimizer, "step", optimizer)).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        message = f"{stage.optimizer.use} evaluates the loss several times a step, which zoo does not support"
        yield Problem(stage.optimizer.mark, message)
    for pattern, group in stage.groups.items():
        for problem in _setting_problems(stage.optimizer.use, optimizer, group):
            yield Problem(stage.marks.get("groups", stage.optimizer.mark), f"{pattern}: {problem}")


def _setting_problems(name: str, optimizer: Any, group: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings of a group that the optimizer does not have, or that are of another type."""
    settings = {name: p for name, p in inspect.signature(optimizer).parameters.items() if name != "params"}
    hints = type_hints(optimizer)
    for key, value in group.items():
        if key not in settings:
            yield f"{name} takes no argument {key!r}{did_you_mean(key, list(settings))}"
        elif key in hints and value is not settings[key].default and (kind := expected(value, hints[key])):
            yield f"{key} must be {kind}, not {value!r}"


def _useless_keeps(stages: tuple[Stage, ...]) -> Iterator[Problem]:
    """Yield names in `keep` that no later stage uses."""
    for number, stage in enumerate(stages):
        later = [name for other in stages[number + 1 :] for name in (*other.criterion, *other.all_teachers)]
        for name in stage.keep:
            if name not in later:
                message = f"{name!r} is in `keep`, but no later stage has a term or teacher of that name"
                yield Problem(stage.marks.get("keep", stage.optimizer.mark), message)


def _teachers_without_weights(stages: tuple[Stage, ...]) -> Iterator[Problem]:
    """Yield frozen teachers that have neither weights in this stage nor trained parameters from an earlier stage."""
    inherited: set[str] = set()
    for stage in stages:
        for name, teacher in stage.all_teachers.items():
            if (
                teacher.model is not None
                and teacher.weights is None
                and not teacher.trainable
                and name not in inherited
            ):
                message = f"{name} lacks the key 'weights', and no earlier stage lists {name!r} in its 'keep'"
                yield Problem(teacher.marks.get("model", stage.optimizer.mark), message)
        inherited |= set(stage.keep)


def _missing_parts(stages: tuple[Stage, ...], builder: Builder) -> Iterator[Problem]:
    """Yield terms with learned parts that an earlier stage must have trained, and that none keeps."""
    inherited: set[str] = set()
    for stage in stages:
        for name, term in stage.criterion.items():
            parts = needs_of(builder.target(term.loss, "loss")).inherited_parts
            if parts and name not in inherited:
                needed = f"takes its {parts[0]} from an earlier stage that keeps {name!r}: there is none"
                advice = f"add `keep: [{name}]` to the stage that trains it"
                yield Problem(term.loss.mark, f"{term.loss.use} {needed}; {advice}")
        inherited |= set(stage.keep)
