"""Identify the code that computes a metric: changed code may measure something else."""

import ast
import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from harness.metrics import Metric
from zoo.tasks.base import Task
from zoo.tasks.readout import Readout

FOLLOWED = "harness."
"""Imports from modules of this package are followed. The code that a user trusts is part of a run's identity itself."""


@dataclass(frozen=True, kw_only=True)
class _Module:
    """The statements at the top level of a module that define each name, and what it imports by name."""

    source: str
    statements: Mapping[str, list[ast.stmt]]
    imports: Mapping[str, tuple[str, str]]


def metric_code(metrics: Mapping[str, Metric], task: Task) -> dict[str, str]:
    """Return the SHA-256 of the source code of each metric.

    It covers the metric, and the functions, classes and constants that it needs of its module and of `harness`. For a
    task with a readout it also covers the whole module of the readout, and the modules of its attribute `scored_by`.
    """
    readout = "" if task.readout is None else _readout_source(task.readout)
    return {name: hashlib.sha256((_source(metric) + readout).encode()).hexdigest() for name, metric in metrics.items()}


def _readout_source(readout: Readout) -> str:
    kinds = [kind for kind in type(readout).__mro__ if kind.__module__ not in ("builtins", "typing")]
    names = {part.__module__ for part in (*kinds, *getattr(readout, "scored_by", ()))}
    return "".join(inspect.getsource(sys.modules[name]) for name in sorted(names))


def _source(metric: Any) -> str:
    arguments = ""
    while hasattr(metric, "func"):
        arguments, metric = arguments + repr(sorted(metric.keywords.items())), metric.func
    function = getattr(metric, "measured_by", metric)
    return inspect.getsource(function) + arguments + "".join(_needed(function.__module__, function.__name__))


def _needed(module: str, name: str) -> list[str]:
    """Return the sources of what a definition needs, directly or not, by module and name; without the definition."""
    found: dict[tuple[str, str], str] = {(module, name): ""}
    pending = [(module, name)]
    while pending:
        parsed = _parsed(inspect.getsource(sys.modules[(place := pending.pop())[0]]))
        statements = parsed.statements.get(place[1], [])
        if place != (module, name):
            found[place] = "".join(_text(parsed.source, statement) for statement in statements)
        for used in (used for statement in statements for used in _names(statement)):
            origin = (place[0], used) if used in parsed.statements else parsed.imports.get(used)
            if origin and origin not in found:
                found[origin] = ""
                pending.append(origin)
    return [found[place] for place in sorted(found)]


@lru_cache(maxsize=32)
def _parsed(source: str) -> _Module:
    statements: dict[str, list[ast.stmt]] = {}
    imports: dict[str, tuple[str, str]] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(FOLLOWED):
            imports |= {each.asname or each.name: (str(statement.module), each.name) for each in statement.names}
        for defined in _defined(statement):
            statements.setdefault(defined, []).append(statement)
    return _Module(source=source, statements=statements, imports=imports)


def _defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [node.id for target in targets if target for node in ast.walk(target) if isinstance(node, ast.Name)]


def _names(node: ast.AST) -> Iterator[str]:
    """Yield the names that are read in a statement, but for its annotations."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node.id
    for field, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        for child in children if field not in ("annotation", "returns") else ():
            if isinstance(child, ast.AST):
                yield from _names(child)


def _text(source: str, statement: ast.stmt) -> str:
    """Return the lines of a statement with its decorators, as `inspect.getsource` does."""
    first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", ()))])
    return "".join(source.splitlines(keepends=True)[first - 1 : statement.end_lineno])
