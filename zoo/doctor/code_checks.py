"""D4xx: labels in an unknown order, and code from outside."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.doctor.entry_facts import EntryFacts
from zoo.doctor.hazards import Hazard
from zoo.fetch.source_types import HubRepo
from zoo.recipes.allowed import is_allowed, is_standard_library
from zoo.recipes.reader import Call
from zoo.recipes.walk import walk_calls

DEFAULT_NAME = re.compile(r"label_\d+")
"""The names that transformers gives classes without names."""


def label_orders(facts: EntryFacts) -> Iterator[Hazard]:
    """D401: published classifiers whose classes may be in another order than the task's."""
    weights, classes = facts.weights, facts.data.classes if facts.data else ()
    outputs = facts.recipe.model.args.get("num_labels", 2)
    if not isinstance(weights, HubRepo) or outputs == 1 or (facts.data is not None and not classes):
        return
    config, mark = facts.config(weights), facts.recipe.marks.get("weights", facts.recipe.task.mark)
    fix = "read the findings of zoo reproduce, which reports an order that fits the first examples better"
    names = None if config is None else _label_names(config)
    if names is None or all(DEFAULT_NAME.fullmatch(name) for name in names):
        why = "is not in the cache" if config is None else "has no names, or LABEL_0, LABEL_1, ..."
        message = f"the order of the classes is unknown, since config.json {why}; zoo tests it with the first examples"
        yield Hazard(code="D401", severity="note", mark=mark, message=message, fix=fix)
    elif classes and names != [_normalized(name) for name in classes]:
        is_permuted = sorted(names) == sorted(map(_normalized, classes))
        message = f"config.json names the classes {', '.join(names)}, the task {', '.join(classes)}"
        yield Hazard(code="D401", severity="error" if is_permuted else "warning", mark=mark, message=message, fix=fix)


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
            message = f"{used.source}: config.json names code of the repository (auto_map), which zoo refuses to load"
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
    """Return the normalized names of the classes in a configuration, in their order."""
    names = config.get("id2label")
    if not isinstance(names, Mapping) or not all(str(key).isdigit() for key in names):
        return None
    return [_normalized(str(names[key])) for key in sorted(names, key=int)]


def _normalized(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")


CODE_CHECKS = (label_orders, foreign_code)
