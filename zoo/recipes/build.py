"""From inert calls to objects: bare names are looked up in their slot's namespace, dotted ones in allowed packages.

The allow-list keeps a recipe from importing what its reader did not agree to; it is no sandbox. Of the allowed packages
a slot admits only what it is for: models and losses are `nn.Module`s, optimisers are torch's, and so on; what unpickles
or runs code that it is handed (`torch.jit`, ...) is refused even then. A package that the user trusts may be anything.
"""

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from types import ModuleType
from typing import Any

import torch
import torchvision
from torch import nn

from zoo.errors import Mark, Problem, RecipeError, UsageError, ZooError, did_you_mean, first_line
from zoo.fetch.sources import Source, Sources, is_source
from zoo.recipes import catalogue
from zoo.recipes.allowed import ALLOWED
from zoo.recipes.reader import Call
from zoo.recipes.schema import Recipe, Stage, Teacher

RUNS_CODE = (
    "torch.load", "torch.serialization", "torch.hub", "torch.jit", "torch.package", "torch.utils.cpp_extension",
    "torch.ops", "torch.classes", "evaluate.load", "evaluate.loading", "datasets.load", "datasets.load_dataset",
    "datasets.load_dataset_builder", "transformers.pipeline", "transformers.pipelines", "transformers.utils",
    "transformers.dynamic_module_utils",
)  # fmt: skip


@dataclass(frozen=True)
class Slot:
    """A place in a recipe that holds a call: where bare names are looked up, in order, and what is handed in."""

    namespaces: tuple[str, ...]
    supplied: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    """Of which a dotted name may be a subclass."""
    functions: tuple[str, ...] = ()
    """The modules of which it may be a public function."""


MODULE, TORCHVISION = "torch.nn.modules.module.Module", "torchvision.models"
SLOTS: Mapping[str, Slot] = {
    "task": Slot(("zoo.tasks",), ("tokenizer",), functions=("zoo.tasks",)),
    "model": Slot(
        ("zoo.models", TORCHVISION, f"{TORCHVISION}.segmentation"),
        classes=(MODULE, "transformers.configuration_utils.PreTrainedConfig"),
        functions=("zoo.models", TORCHVISION),
    ),
    "tokenizer": Slot(
        ("zoo.tokenizers",),
        classes=("transformers.tokenization_utils_base.PreTrainedTokenizerBase",),
        functions=("zoo.tokenizers",),
    ),
    "metrics": Slot(
        ("harness.metrics",),
        ("predictions", "labels", "ranked", "confusion"),
        classes=("evaluate.module.EvaluationModule",),
        functions=("harness.metrics",),
    ),
    "optimizer": Slot(("torch.optim",), ("params",), classes=("torch.optim.optimizer.Optimizer",)),
    "schedule": Slot(
        ("harness.schedules",),
        ("progress", "steps", "optimizer", "num_training_steps"),
        classes=("torch.optim.lr_scheduler.LRScheduler",),
        functions=("harness.schedules", "transformers.optimization"),
    ),
    "loss": Slot(("harness.losses",), classes=(MODULE,)),
    "train_transforms": Slot(("torchvision.transforms.v2",), classes=(MODULE,)),
    "eval_transforms": Slot(("torchvision.transforms.v2",), classes=(MODULE,)),
}


DOWNLOADS = ("weights", "weights_backbone", "pretrained", "pretrained_backbone")
"""The arguments by which torchvision downloads what nobody verifies."""


class _Refused(Exception):
    """Why a name cannot be had."""


@dataclass(frozen=True)
class Builder:
    """Builds calls, importing from the allow-list and from the packages the user trusts; texts that name a source
    become a `Source`."""

    trust: frozenset[str] = frozenset()
    sources: Sources = field(default_factory=Sources)
    accepted: set[str] = field(default_factory=set, compare=False)
    """Calls of models that are known to take their arguments: many entries of a suite have the same."""

    def at(self, here: str | None) -> "Builder":
        """The builder of a recipe that is published in the repository `here`."""
        return replace(self, sources=replace(self.sources, here=here))

    def target(self, call: Call, slot: str) -> Any:
        """What a call names, not yet called; raises RecipeError at the call's place."""
        try:
            return self._dotted(call.use, slot) if "." in call.use else getattr(home(call.use, slot), call.use)
        except _Refused as refused:
            raise RecipeError.at(call.mark, str(refused)) from None

    def build(self, call: Call, slot: str, *args: Any, **supplied: Any) -> Any:
        """The object a call describes; raises RecipeError at the call's place, also where the callable refuses."""
        function = self.partial(call, slot)
        try:
            return function(*args, **supplied)
        except ZooError:
            raise
        except (TypeError, ValueError, KeyError, RuntimeError, AssertionError) as error:
            raise RecipeError.at(call.mark, f"{call.use}: {error}") from error

    def partial(self, call: Call, slot: str) -> Callable[..., Any]:
        """The callable with the call's own arguments filled in, for what is called many times."""
        given = {key: self._argument(value, _slot(key, slot)) for key, value in call.args.items()}
        return functools.partial(self.target(call, slot), **given)

    def check(self, recipe: Recipe) -> None:
        """Look up every name and argument of a recipe, and build what costs nothing: models without memory, losses,
        optimisers, schedules. Nothing is downloaded. Raises RecipeError with all that do not fit.
        """
        problems: list[Problem] = []
        alone = [task for task, tokenizer in recipe.readings if tokenizer is None]
        for slot, call in calls(recipe):
            try:
                target = self.target(call, slot)
            except RecipeError as error:
                problems += error.problems
            else:
                supplied = () if slot == "task" and any(call is task for task in alone) else SLOTS[slot].supplied
                problems += [*_argument_problems(call, target, supplied), *_downloads(call, target)]
        if not problems:
            problems += [problem for stage in recipe.stages for problem in _stage_problems(self, stage)]
            problems += [*_unused(recipe.stages), *_without_weights(recipe.stages)]
            problems += [*_without_parts(self, recipe.stages), *_teachers_that_are_not(recipe)]
            problems += [*_sources_that_are_not(self, recipe), *_not_to_be_built(self, recipe)]
        if problems:
            raise RecipeError(problems)

    def _argument(self, value: Any, slot: str) -> Any:
        if isinstance(value, Call):
            return self.build(value, slot)
        if isinstance(value, list):
            return [self._argument(item, slot) for item in value]
        if isinstance(value, dict):
            return {key: self._argument(item, slot) for key, item in value.items()}
        return Source(self.sources, value) if is_source(value) else value

    def _dotted(self, path: str, slot: str) -> Any:
        package = path.split(".", maxsplit=1)[0]
        allowed = ALLOWED | self.trust
        if package not in allowed:
            raise _Refused(f"{path!r}: imports from {package!r} are not allowed; --trust {package} allows them")
        if any(part.startswith("_") for part in path.split(".")):
            raise _Refused(f"{path!r} is private to {package!r}")
        _refuse_what_runs_code(path, path)
        module, names = _longest_module(path)
        found: Any = module
        for name in names:
            if inspect.isclass(found):  # such as `from_pretrained`, which loads whatever it is told to
                raise _Refused(f"{path!r} is a method; a recipe names classes and functions")
            found = getattr(found, name, None)
            if found is None or isinstance(found, ModuleType):
                raise _Refused(f"{module.__name__} has no {name!r}{did_you_mean(name, _public(module))}")
        home = str(getattr(found, "__module__", package)).split(".")[0]
        if not callable(found) or home not in allowed:
            raise _Refused(f"{path!r} is not a callable of {package!r}")
        _refuse_what_runs_code(path, f"{found.__module__}.{getattr(found, '__qualname__', '')}")
        if package not in self.trust and not _admits(SLOTS[slot], found):
            raise _Refused(f"{path!r} is nothing that can stand here ({slot})")
        return found


def calls(value: Any, slot: str | None = None) -> Iterator[tuple[str, Call]]:
    """Every call in a value with its slot, the nearest field or argument that names one."""
    if isinstance(value, Call):
        assert slot is not None
        yield slot, value
        for key, item in value.args.items():
            yield from calls(item, _slot(key, slot))
    elif is_dataclass(value):
        for f in fields(value):
            yield from calls(getattr(value, f.name), f.name)
    elif isinstance(value, Mapping):
        yield from calls(list(value.values()), slot)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from calls(item, slot)


def named_sources(value: Any, slot: str | None = None) -> Iterator[tuple[str, str, Mark]]:
    """Every source that a call in a value has as an argument: the call's slot, the source, and where it stands."""
    for found, call in calls(value, slot):
        for key, argument in call.args.items():
            if is_source(argument):
                yield found, argument, call.marks.get(key, call.mark)


def _refuse_what_runs_code(path: str, home: str) -> None:
    """Raise for a path, or the place it leads to, among those of RUNS_CODE: the same function has many names."""
    if any(f"{home}.".startswith(f"{refused}.") for refused in RUNS_CODE):
        raise _Refused(f"{path!r} can run code from outside a recipe and cannot be named in one")


def _admits(slot: Slot, found: Any) -> bool:
    """Whether what is found is of the kind that a slot is for."""
    if inspect.isclass(found):
        return any(f"{base.__module__}.{base.__qualname__}" in slot.classes for base in found.__mro__)
    name = getattr(found, "__name__", "")
    if str(getattr(found, "__module__", "")).startswith(TORCHVISION):
        return TORCHVISION in slot.functions and name in torchvision.models.list_models()
    homes = [importlib.import_module(home) for home in slot.functions if home != TORCHVISION]
    return any(getattr(home, name, None) is found and name in _public(home) for home in homes)


def home(name: str, slot: str) -> ModuleType:
    """The module that a bare name is looked up in; raises `_Refused`, naming the nearest, where no one has it."""
    modules = [importlib.import_module(namespace) for namespace in SLOTS[slot].namespaces]
    for module in modules:
        if name in _public(module):
            return module
    known = [public for module in modules for public in _public(module)]
    near = did_you_mean(name, known) or did_you_mean(name.removesuffix("Loss"), known)  # as others name their losses
    raise _Refused(f"{modules[0].__name__} has no {name!r}{near}")


def _public(module: ModuleType) -> list[str]:
    names = getattr(module, "__all__", None) or dir(module)
    if module.__name__.startswith(TORCHVISION):  # the functions that build models, and no other
        names = torchvision.models.list_models()
    return [name for name in names if not name.startswith("_") and callable(getattr(module, name, None))]


def _longest_module(path: str) -> tuple[ModuleType, list[str]]:
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:end])
        try:
            return importlib.import_module(name), parts[end:]
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise _Refused(f"{path!r} needs the package {error.name!r}, which is not installed") from None
    raise _Refused(f"no module {parts[0]!r} is installed")


def _argument_problems(call: Call, target: Any, supplied: tuple[str, ...]) -> Iterator[Problem]:
    """Arguments the target does not take, and ones it needs; `supplied` are handed in by the harness."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    allowed = [name for name in named if name not in supplied]
    for key in call.args:
        if key in ("trust_remote_code", "auto_map"):
            yield Problem(call.marks[key], f"{key} runs code from outside a recipe and cannot be set in one")
        if key not in allowed and not takes_any:
            yield Problem(call.marks[key], f"{call.use} takes no argument {key!r}{did_you_mean(key, allowed)}")
    for p in parameters:
        if p.name in call.args and isinstance(call.args[p.name], str) and _is_number(str(p.annotation)):
            message = f"{call.use}: {p.name} must be a number, not {call.args[p.name]!r}"
            yield Problem(call.marks[p.name], message)
        needed = p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        if needed and p.name not in call.args and p.name not in supplied:
            yield Problem(call.mark, f"{call.use} lacks the argument {p.name!r}")


def _downloads(call: Call, target: Any) -> Iterator[Problem]:
    """Arguments by which a model of torchvision would download weights, also the ones that are so by default."""
    if not str(getattr(target, "__module__", "")).startswith(TORCHVISION):
        return
    defaults = {name: p.default for name, p in _parameters(target).items() if p.default is not inspect.Parameter.empty}
    for name in DOWNLOADS:
        if {**defaults, **call.args}.get(name) not in (None, False):
            message = f"{call.use}: write {name}: null; `pretrained` starts from weights that are pinned"
            yield Problem(call.marks.get(name, call.mark), message)


def _is_number(annotation: str) -> bool:
    """Whether an annotation admits numbers, and no text."""
    return bool(re.search(r"\b(int|float)\b", annotation)) and not re.search(r"\b(str|Any)\b", annotation)


def _slot(key: str, parent: str) -> str:
    return key if key in SLOTS else parent


def _stage_problems(builder: Builder, stage: Stage) -> Iterator[Problem]:
    """Terms without the teacher they need, and settings that the optimiser does not take."""
    for name, term in stage.criterion.items():
        if stage.teacher_of(term) is None and getattr(builder.target(term.loss, "loss"), "needs_teacher", False):
            several = ", ".join(teacher for teacher in stage.all_teachers if teacher != term.student)
            lacks = f"{name} must say which: teacher: one of {several}" if several else "the stage has none for it"
            yield Problem(term.loss.mark, f"{term.loss.use} compares with a teacher, and {lacks}")
    optimizer = builder.target(stage.optimizer, "optimizer")
    closure = inspect.signature(getattr(optimizer, "step", optimizer)).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        yield Problem(
            stage.optimizer.mark, f"{stage.optimizer.use} evaluates the loss several times a step, which is not done"
        )
    settings = [name for name in inspect.signature(optimizer).parameters if name != "params"]
    for pattern, group in stage.groups.items():
        for key in group:
            if key not in settings:
                message = f"{pattern}: {stage.optimizer.use} takes no argument {key!r}{did_you_mean(key, settings)}"
                yield Problem(stage.marks.get("groups", stage.optimizer.mark), message)


def _sources_that_are_not(builder: Builder, recipe: Recipe) -> Iterator[Problem]:
    """Sources that are written wrongly, and embedded files that are not there; nothing is read."""
    named = [(recipe.weights, recipe.marks.get("weights", recipe.task.mark))] if recipe.weights else []
    for stage in recipe.stages:
        teachers = stage.all_teachers.values()
        named += [(t.weights, t.marks.get("weights", stage.optimizer.mark)) for t in teachers if t.weights]
    named += [(source, mark) for _, source, mark in named_sources(recipe)]
    for source, at in named:
        if said := builder.sources.problem(source):
            yield Problem(at, said)


def _not_to_be_built(builder: Builder, recipe: Recipe) -> Iterator[Problem]:
    """What refuses its arguments when it is built."""
    models = [recipe.model, *(t.model for s in recipe.stages for t in s.all_teachers.values() if t.model is not None)]
    with torch.device("meta"):
        for model in models:
            known = repr(model) in builder.accepted
            if not known and "." not in model.use and not _holds_source(model.args):  # of others nobody knows
                problems = list(_refused(builder, model, "model"))
                yield from problems
                if not problems:
                    builder.accepted.add(repr(model))
    for task, tokenizer in recipe.readings:
        if "." not in task.use:  # they read nothing until they are asked for a split
            given = {} if tokenizer is None else {"tokenizer": None}
            problems = list(_refused(builder, task, "task", **given))
            if tokenizer is not None and "tokenizer" not in _parameters(builder.target(task, "task")):
                problems = [Problem(tokenizer.mark, f"the task {task.use} takes no tokenizer")]
            yield from problems
    for stage in recipe.stages:
        for term in stage.criterion.values():
            yield from _refused(builder, term.loss, "loss")
        yield from _refused(builder, stage.optimizer, "optimizer", [nn.Parameter(torch.zeros(1))])
        if stage.schedule is not None and "progress" in _parameters(builder.target(stage.schedule, "schedule")):
            yield from _refused(builder, stage.schedule, "schedule", 0.0, 100)


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _holds_source(value: Any) -> bool:
    if isinstance(value, Mapping | list):
        return any(_holds_source(item) for item in (value.values() if isinstance(value, Mapping) else value))
    return is_source(value)


def _refused(builder: Builder, call: Call, slot: str, *args: Any, **given: Any) -> Iterator[Problem]:
    try:
        builder.build(call, slot, *args, **given)
    except RecipeError as error:  # a model that computes as it is built says that it cannot without memory
        yield from (problem for problem in error.problems if "meta" not in problem.message)
    except UsageError as error:
        yield Problem(call.mark, str(error))


def _unused(stages: tuple[Stage, ...]) -> Iterator[Problem]:
    """What is kept although no later stage has it."""
    for number, stage in enumerate(stages):
        later = [name for other in stages[number + 1 :] for name in (*other.criterion, *other.all_teachers)]
        for name in stage.keep:
            if name not in later:
                message = f"{name!r} is kept, and no later stage has a term or teacher of that name"
                yield Problem(stage.marks.get("keep", stage.optimizer.mark), message)


def _without_weights(stages: tuple[Stage, ...]) -> Iterator[Problem]:
    """Frozen teachers that have no weights, of their own or from an earlier stage."""
    kept: set[str] = set()
    for stage in stages:
        for name, teacher in stage.all_teachers.items():
            if teacher.model is not None and teacher.weights is None and not teacher.trainable and name not in kept:
                message = f"{name} lacks the key 'weights', and no earlier stage keeps it"
                yield Problem(teacher.marks.get("model", stage.optimizer.mark), message)
        kept |= set(stage.keep)


def _without_parts(builder: Builder, stages: tuple[Stage, ...]) -> Iterator[Problem]:
    """Terms with parts that an earlier stage must have trained, where none keeps a term of that name."""
    kept: set[str] = set()
    for stage in stages:
        for name, term in stage.criterion.items():
            parts = getattr(builder.target(term.loss, "loss"), "inherited_parts", ())
            if parts and name not in kept:
                message = f"{term.loss.use} has its {parts[0]} from an earlier stage that keeps {name!r}: there is none"
                yield Problem(term.loss.mark, message)
        kept |= set(stage.keep)


def _teachers_that_are_not(recipe: Recipe) -> Iterator[Problem]:
    """Teachers that are no entry, that lack what they are wanted for, or that are made from this very entry."""
    for stage in recipe.stages:
        for teacher in stage.all_teachers.values():
            if teacher.model is None:
                try:
                    _check_teacher(teacher, (recipe.name,))
                except UsageError as error:
                    key = "run" if teacher.run else "entry"
                    yield Problem(teacher.marks.get(key, stage.optimizer.mark), first_line(error))


def _check_teacher(teacher: Teacher, above: tuple[str, ...]) -> None:
    """Raise UsageError where the teacher is no entry that has weights, or can be trained without what is `above` it."""
    found = catalogue.one(str(teacher.entry or teacher.run)).recipe
    if teacher.entry is not None and found.weights is None:
        raise UsageError(f"{found.name} has no published weights; `run: {found.name}` trains it")
    if teacher.run is not None and not found.stages:
        raise UsageError(f"{found.name} has no stages: it cannot be trained")
    if teacher.run is not None and found.name in above:
        raise UsageError(f"{' <- '.join((*above, found.name))}: an entry cannot be its own teacher's teacher")
    for stage in found.stages if teacher.run is not None else ():
        for further in stage.all_teachers.values():
            if further.model is None:
                _check_teacher(further, (*above, found.name))
