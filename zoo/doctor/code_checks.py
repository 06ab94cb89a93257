"""D4xx: labels in an unknown order, and code from outside."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo.class_names import has_names, match_classes
from zoo.doctor.entry_facts import EntryFacts
from zoo.doctor.hazards import Hazard
from zoo.errors import Mark, UsageError
from zoo.fetch.source_types import HubRepo
from zoo.recipes.allowed import is_allowed, is_standard_library
from zoo.recipes.values import Call
from zoo.recipes.walk import walk_calls


def label_orders(facts: EntryFacts) -> Iterator[Hazard]:
    """D401: published classifiers whose classes may be in another order than the task's."""
    weights, classes = facts.weights, facts.data.classes if facts.data else ()
    outputs = facts.recipe.model.args.get("num_labels", 2)
    if not isinstance(weights, HubRepo) or outputs == 1 or (facts.data is not None and not classes):
        return
    config, mark = facts.config(weights), facts.recipe.marks.get("weights", facts.recipe.task.mark)
    fix = "read the findings of zoo reproduce, which reports an order that fits the first examples better"
    names = None if config is None else _label_names(config)
    if names is None or not has_names(names):
        why = "is not in the cache" if config is None else "has no names, or LABEL_0, LABEL_1, ..."
        message = f"the order of the classes is unknown, since config.json {why}; zoo tests it with the first examples"
        yield Hazard(code="D401", severity="note", mark=mark, message=message, fix=fix)
    elif classes and len(names) == len(classes):
        yield from _mismatches(names, classes, mark)


def _mismatches(names: Sequence[str], classes: Sequence[str], mark: Mark) -> Iterator[Hazard]:
    """Yield what other programs get wrong that take the outputs of a model for the task's classes in order."""
    message = f"config.json names the classes {', '.join(names)}, the task {', '.join(classes)}"
    try:
        match = match_classes(names, classes, side="config.json", other="the task")
    except UsageError:
        fix = "name the same classes in the recipe and in config.json; zoo refuses to score these weights"
        yield Hazard(code="D401", severity="error", mark=mark, message=message, fix=fix)
        return
    if list(match.positions) != list(range(len(classes))) or match.note:
        fix = "nothing for zoo, which matches them by name; name them alike for programs that do not"
        yield Hazard(code="D401", severity="note", mark=mark, message=match.note or message, fix=fix)


def foreign_code(facts: EntryFacts) -> Iterator[Hazard]:
    """D402: packages that need `--trust`, and code that a repository brings along."""
    for field, call in walk_calls(facts.recipe):
        if "." in call.use and not is_allowed(call.use, field):
            yield _unlisted_name(call)
        for key in sorted({"trust_remote_code", "auto_map"} & call.args.keys()):
            message, fix = f"{key} would run code of a repository; zoo refuses it", f"leave {key} out"
            yield Hazard(code="D402", severity="error", mark=call.marks.get(key, call.mark), message=message, fix=fix)
    for used in facts.used_sources:
        config = facts.config(used.source) if isinstance(used.source, HubRepo) and used.role != "data" else None
        if config is not None and "auto_map" in config:
            message = (
                f"{used.source}: config.json names code of the repository (auto_map), which zoo never runs: it uses"
                " transformers' own, or refuses an architecture that transformers lacks"
            )
            fix = "publish the weights with a config.json without auto_map, for an architecture of transformers"
            yield Hazard(code="D402", severity="warning", mark=used.mark, message=message, fix=fix)


def _unlisted_name(call: Call) -> Hazard:
    package = call.use.split(".", maxsplit=1)[0]
    fix = f"read the code, then pass --trust {package}; or use what zoo and torch have"
    return Hazard(
        code="D402", severity="warning", mark=call.mark,
        message=f"{call.use} is code of {package!r}, which runs on the machine of everyone who runs this",
        fix="use what zoo and torch have" if is_standard_library(call.use) else fix,
    )  # fmt: skip


def _label_names(config: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the classes in a configuration, in their order."""
    names = config.get("id2label")
    if not isinstance(names, Mapping) or not all(str(key).isdigit() for key in names):
        return None
    return [str(names[key]) for key in sorted(names, key=int)]


CODE_CHECKS = (label_orders, foreign_code)
