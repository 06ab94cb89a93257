"""Check single calls of a recipe: arguments that do not fit, and objects that cannot be built."""

import inspect
import operator
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from zoo.errors import Problem, RecipeError, UsageError, did_you_mean
from zoo.models.build_watch import watched
from zoo.models.size_limits import size_limits, too_many_recurrent_layers
from zoo.recipes.allowed import is_allowed, is_ours
from zoo.recipes.argument_kinds import foreign_code, too_many, unverified_files
from zoo.recipes.argument_types import expected, type_hints
from zoo.recipes.build import Builder
from zoo.recipes.fields import FIELDS
from zoo.recipes.load_model import architecture
from zoo.recipes.names import is_torchvision_model
from zoo.recipes.schema import Recipe
from zoo.recipes.values import Call
from zoo.recipes.walk import walk_calls, walk_sources
from zoo.trusted_code import is_part_of

DOWNLOADS = ("weights", "weights_backbone", "pretrained", "pretrained_backbone")
"""Arguments of torchvision's models that download weights which nobody verifies."""
TORCH_REDUCTIONS = ("reduction", "reduce", "size_average")
"""Arguments of torch's losses that choose between the mean over a batch, the sum, and no reduction."""

_NEEDS_MEMORY = re.compile(r"\bmeta (tensor|device)|\bdevices? .*\bmeta\b|register_meta|'meta' device", re.IGNORECASE)
"""Matches the errors of torch for an operation that reads the values of a tensor on the device `meta`."""


def argument_problems(
    call: Call, field: str, target: Any, *, supplies_tokenizer: bool, is_trusted: bool
) -> Iterator[Problem]:
    """Yield arguments of a call that do not fit, and arguments that are missing.

    Args:
        call: The call.
        field: The field that the call stands in.
        target: The class or function that it names.
        supplies_tokenizer: Whether zoo passes the task a tokenizer.
        is_trusted: Whether the user trusts the package of the target.
    """
    if not is_trusted and not is_ours(str(getattr(target, "__module__", ""))):
        yield from _unverified_files(call, target)
        if call.args.get("device") is not None:  # it would also fill the memory while the recipe is checked
            mark, advice = call.marks.get("device", call.mark), "leave out device; the option --device chooses it"
            yield Problem(mark, f"{call.use}: {advice}")
    if problem := too_many_recurrent_layers(target, call.args):
        yield Problem(call.marks.get("num_layers", call.mark), f"{call.use}: {problem}")
    supplied = () if field == "task" and not supplies_tokenizer else FIELDS[field].supplied
    try:
        parameters = _parameters(target)
    except (TypeError, ValueError):  # some builtins have no signature
        return
    if not _is_configuration(target):
        yield from _unknown_arguments(call, parameters, supplied)
    for parameter in parameters.values():
        yield from _parameter_problems(call, parameter, supplied)
    yield from _wrong_types(call, target, parameters)
    yield from _unverified_downloads(call, target)


def refused_arguments(call: Call) -> Iterator[Problem]:
    """Yield arguments, at any depth, that are refused whatever the user trusts: code of a repository, counts."""
    for name, reason in (*foreign_code(call.args), *too_many(call.args)):
        yield Problem(call.marks.get(name, call.mark), f"{call.use}: {reason}")


def build_problems(recipe: Recipe, builder: Builder) -> Iterator[Problem]:
    """Yield calls that refuse their arguments when they are built: models without memory."""
    yield from _model_problems(recipe, builder)
    for stage in recipe.stages:
        for term in stage.criterion.values():
            yield from list(_reduction_problems(term.loss)) or _loss_problems(term.loss, builder)
        yield from _refusals(builder, stage.optimizer, "optimizer", [nn.Parameter(torch.zeros(1))])
        if stage.schedule is not None and "progress" in _parameters(builder.target(stage.schedule, "schedule")):
            yield from _refusals(builder, stage.schedule, "schedule", 0.0, 100)


def _unverified_files(call: Call, target: Any) -> Iterator[Problem]:
    """Yield arguments that read files; of torchvision's models `_unverified_downloads` reports some of them."""
    reported_elsewhere = DOWNLOADS if is_torchvision_model(target) else ()
    arguments = {key: value for key, value in call.args.items() if key not in reported_elsewhere}
    for name, reason in unverified_files(arguments):
        yield Problem(call.marks.get(name, call.mark), f"{call.use}: {reason}")


def _unknown_arguments(
    call: Call, parameters: Mapping[str, inspect.Parameter], supplied: tuple[str, ...]
) -> Iterator[Problem]:
    named = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    allowed = [name for name in named if name not in supplied]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in call.args:
        if key not in allowed and not takes_any:
            yield Problem(call.marks[key], f"{call.use} takes no argument {key!r}{did_you_mean(key, allowed)}")


def _parameter_problems(call: Call, parameter: inspect.Parameter, supplied: tuple[str, ...]) -> Iterator[Problem]:
    p = parameter
    is_required = p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    if is_required and p.name not in call.args and p.name not in supplied:
        yield Problem(call.mark, f"{call.use} lacks the argument {p.name!r}")


def _wrong_types(call: Call, target: Any, parameters: Mapping[str, inspect.Parameter]) -> Iterator[Problem]:
    """Yield arguments whose values do not fit the annotations; a default of another type than its annotation fits."""
    hints = type_hints(target)
    for name, value in call.args.items():
        if name not in hints or (name in parameters and value is parameters[name].default):
            continue
        if kind := expected(_with_text_classes(name, value), hints[name]):
            yield Problem(call.marks.get(name, call.mark), f"{call.use}: {name} must be {kind}, not {value!r}")


def _with_text_classes(name: str, value: Any) -> Any:
    """Return names of classes as text: those that look like whole numbers need no quotes."""
    if name != "classes" or not isinstance(value, list):
        return value
    return [str(item) if type(item) is int else item for item in value]


def _is_configuration(target: Any) -> bool:
    """Return whether a class is a configuration of transformers, which takes more arguments than its signature has."""
    return any(base.__name__ == "PreTrainedConfig" for base in getattr(target, "__mro__", ()))


def _unverified_downloads(call: Call, target: Any) -> Iterator[Problem]:
    """Yield arguments by which a model of torchvision would download weights, including defaults that do."""
    if not is_torchvision_model(target):
        return
    defaults = {name: p.default for name, p in _parameters(target).items() if p.default is not inspect.Parameter.empty}
    for name in DOWNLOADS:
        if {**defaults, **call.args}.get(name) not in (None, False):
            message = f"{call.use}: write {name}: null; `pretrained` starts from weights that are pinned"
            yield Problem(call.marks.get(name, call.mark), message)


def _model_problems(recipe: Recipe, builder: Builder) -> Iterator[Problem]:
    teachers = [teacher for stage in recipe.stages for teacher in stage.all_teachers.values()]
    models = (recipe.model, *(teacher.model for teacher in teachers if teacher.model is not None))
    for model in map(architecture, models):
        # only code that is known can be built without memory, and only without files
        if repr(model) in builder.checked_models or _runs_user_code(model, "model") or any(walk_sources(model)):
            continue
        problems = _refusals_without_memory(builder, model, "model")
        if problems == []:
            builder.checked_models.add(repr(model))
        yield from problems or ()


def _reduction_problems(loss: Call) -> Iterator[Problem]:
    for name in TORCH_REDUCTIONS if is_part_of(loss.use, ("torch.nn",)) else ():
        if loss.args.get(name) not in (None, "mean"):
            message = f"{loss.use}: leave out {name}; a training takes the mean over a batch"
            yield Problem(loss.marks.get(name, loss.mark), message)


def _loss_problems(loss: Call, builder: Builder) -> Iterator[Problem]:
    if not _runs_user_code(loss, "loss"):
        problems = _refusals_without_memory(builder, loss, "loss")
        if problems is not None:
            yield from problems
            return
    # a loss that computes while it is built is interrupted, but code of the user may load gigabytes of weights
    call_it = operator.call if _runs_user_code(loss, "loss") else watched
    with size_limits():
        problems = call_it(lambda: list(_refusals(builder, loss, "loss")))
    yield from problems


def _runs_user_code(value: Call, field: str) -> bool:
    return any("." in call.use and not is_allowed(call.use, inner) for inner, call in walk_calls(value, field))


def _refusals_without_memory(builder: Builder, call: Call, field: str) -> list[Problem] | None:
    """Return why a call cannot be built, or None if that cannot be found out without memory."""
    try:
        with torch.device("meta"), size_limits():
            watched(lambda: builder.build(call, field))
    except RecipeError as error:
        return None if _NEEDS_MEMORY.search(str(error.__cause__)) else error.problems
    except UsageError as error:
        return [Problem(call.mark, str(error))]
    return []


def _refusals(builder: Builder, call: Call, field: str, *args: Any, **supplied: Any) -> Iterator[Problem]:
    try:
        builder.build(call, field, *args, **supplied)
    except RecipeError as error:
        yield from error.problems
    except UsageError as error:
        yield Problem(call.marks.get(error.argument or "", call.mark), str(error))


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters
