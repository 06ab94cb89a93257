"""Look up the names of a recipe: a bare name in the namespaces of its field, a dotted one in the list of allowed names.

`zoo.recipes.allowed` lists what each field may name. Any other name needs a package that the user trusts, and names of
such a package may be anything. Functions that unpickle, or run code that they receive, are refused everywhere.
"""

import importlib.util
import inspect
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from zoo.errors import did_you_mean
from zoo.recipes.allowed import ALLOWED, AUTO_CLASSES, is_allowed, is_standard_library, names_in
from zoo.recipes.fields import FIELDS, TORCHVISION
from zoo.trusted_code import KNOWN_PACKAGES, RUN_FOREIGN_CODE, is_part_of

EXTRAS = {"timm": "pip install timm"}
"""Packages that are optional, and the command that installs each."""


class UnusableNameError(Exception):
    """A name of a recipe does not exist, or may not be used in its field."""


def resolve(name: str, field: str, trusted: frozenset[str]) -> Any:
    """Return the class or function that a recipe names.

    Args:
        name: The name, bare or dotted.
        field: The field that the name stands in, a key of `FIELDS`.
        trusted: The packages that the user trusts.

    Raises:
        UnusableNameError: The name does not exist or may not be used there.
    """
    if "." not in name:
        return getattr(module_of(name, field), name)
    package = name.split(".", maxsplit=1)[0]
    if is_standard_library(name):
        raise UnusableNameError(f"{name!r} is in Python's standard library, which no recipe may name")
    if any(part.startswith("_") for part in name.split(".")):
        raise UnusableNameError(f"{name!r} is private to {package!r}")
    _refuse_foreign_code(name, name)
    return _trusted(name, package, trusted) if package in trusted else _listed(name, field)


def module_of(name: str, field: str) -> ModuleType:
    """Return the module that a bare name is looked up in. Raises UnusableNameError if no namespace has the name."""
    namespaces = FIELDS[field].namespaces
    for namespace in namespaces:
        if name in names_in(namespace, field):
            return importlib.import_module(namespace)
    names = sorted(name for namespace in namespaces for name in names_in(namespace, field))
    hint = did_you_mean(name, names) or did_you_mean(name.removesuffix("Loss"), names)  # torch's losses end so
    raise UnusableNameError(f"{namespaces[0]} has no {name!r}{hint}")


def is_torchvision_model(target: Any) -> bool:
    """Return whether a class or function is one of torchvision's models."""
    return is_part_of(str(getattr(target, "__module__", "")), (TORCHVISION,))


def _listed(path: str, field: str) -> Any:
    """Return what a dotted name of the list leads to; nothing else is imported."""
    try:
        if not is_allowed(path, field):
            raise UnusableNameError(_refusal(path, field))
        target = _import(path)
    except ModuleNotFoundError as error:
        raise UnusableNameError(_not_installed(path, str(error.name))) from None
    name = path.rpartition(".")[2]
    return getattr(target, AUTO_CLASSES[name]) if name in AUTO_CLASSES else target


def _refusal(path: str, field: str) -> str:
    """Return why a dotted name is refused, and what to do."""
    package, owner = path.split(".", maxsplit=1)[0], path.rpartition(".")[0]
    if (
        is_allowed(owner, field) and owner.rpartition(".")[2][0].isupper()
    ):  # such as `from_pretrained`, which loads anything
        return f"{path!r} is a method; a recipe names classes and functions"
    if package in KNOWN_PACKAGES and importlib.util.find_spec(package) is None:
        return _not_installed(path, package)
    if package not in KNOWN_PACKAGES:
        return f"{path!r}: imports from {package!r} are not allowed; --trust {package} allows them"
    similar = _similar(path, package, field)
    hint = f"; did you mean {', '.join(similar)}?" if similar else ""
    trust = f"--trust {package} allows it, and all other code of {package}"
    return f"{path!r} cannot be used as {field}: it is not on the list of names that need no trust{hint}; {trust}"


def _not_installed(path: str, package: str) -> str:
    install = f"; install it: {EXTRAS[package]}" if package in EXTRAS else ""
    return f"{path!r} needs the package {package!r}, which is not installed{install}"


def _similar(path: str, package: str, field: str) -> list[str]:
    """Return listed names of the same package that are nearly the last part of a path."""
    modules = [module for module in ALLOWED[field] if is_part_of(module, (package,))]
    full = {name: f"{module}.{name}" for module in reversed(modules) for name in names_in(module, field)}
    return [full[name] for name in get_close_matches(path.rpartition(".")[2], list(full), n=3)]


def _trusted(path: str, package: str, trusted: frozenset[str]) -> Any:
    target, allowed = _import(path), {*KNOWN_PACKAGES, *trusted}
    if not callable(target) or str(getattr(target, "__module__", package)).split(".", maxsplit=1)[0] not in allowed:
        raise UnusableNameError(f"{path!r} is not a callable of {package!r}")
    _refuse_foreign_code(path, f"{target.__module__}.{getattr(target, '__qualname__', '')}")
    return target


def _refuse_foreign_code(path: str, definition: str) -> None:
    """Raise if the place of definition can run foreign code: the same function may have many names."""
    if is_part_of(definition, RUN_FOREIGN_CODE):
        raise UnusableNameError(f"{path!r} can run code from outside a recipe and cannot be named in one")


def _import(path: str) -> Any:
    module, names = _longest_module(path)
    target: Any = module
    for name in names:
        if inspect.isclass(target):
            raise UnusableNameError(f"{path!r} is a method; a recipe names classes and functions")
        target = getattr(target, name, None)
        if target is None or isinstance(target, ModuleType):
            hint = did_you_mean(name, [public for public in dir(module) if not public.startswith("_")])
            raise UnusableNameError(f"{module.__name__} has no {name!r}{hint}")
    return target


def _longest_module(path: str) -> tuple[ModuleType, list[str]]:
    """Return the longest part of a path that is a module, and the names that follow it."""
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:end])
        try:
            return importlib.import_module(name), parts[end:]
        except ModuleNotFoundError as error:
            if error.name is None or not is_part_of(name, (error.name,)):
                raise UnusableNameError(_not_installed(path, str(error.name))) from None
    is_optional = parts[0] in EXTRAS
    raise UnusableNameError(_not_installed(path, parts[0]) if is_optional else f"no module {parts[0]!r} is installed")
