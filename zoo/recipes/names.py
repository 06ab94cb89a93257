"""Look up the names of a recipe: a bare name in the namespaces of its field, a dotted one in allowed packages.

The allow-list keeps a recipe from importing packages that its reader did not agree to; it is not a sandbox. A field
admits only its kind of object: models and losses are `nn.Module`s, optimizers are torch's, and so on. Functions that
unpickle, or run code that they receive, are refused everywhere. Names of a package that the user trusts may be
anything.
"""

import importlib
import inspect
from types import ModuleType
from typing import Any

import torchvision

from zoo.errors import did_you_mean
from zoo.recipes.fields import FIELDS, TORCHVISION, CallField
from zoo.trusted_code import RECIPES_MAY_IMPORT, RUN_FOREIGN_CODE, is_part_of


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
    return _resolve_dotted(name, field, trusted) if "." in name else getattr(module_of(name, field), name)


def module_of(name: str, field: str) -> ModuleType:
    """Return the module that a bare name is looked up in. Raises UnusableNameError if no namespace has the name."""
    modules = [importlib.import_module(namespace) for namespace in FIELDS[field].namespaces]
    for module in modules:
        if name in _public_names(module):
            return module
    names = [public for module in modules for public in _public_names(module)]
    hint = did_you_mean(name, names) or did_you_mean(name.removesuffix("Loss"), names)  # torch's losses end so
    raise UnusableNameError(f"{modules[0].__name__} has no {name!r}{hint}")


def is_torchvision_model(target: Any) -> bool:
    """Return whether a class or function is one of torchvision's models."""
    return is_part_of(str(getattr(target, "__module__", "")), (TORCHVISION,))


def _resolve_dotted(path: str, field: str, trusted: frozenset[str]) -> Any:
    package = path.split(".", maxsplit=1)[0]
    allowed = {*RECIPES_MAY_IMPORT, *trusted}
    if package not in allowed:
        raise UnusableNameError(f"{path!r}: imports from {package!r} are not allowed; --trust {package} allows them")
    if any(part.startswith("_") for part in path.split(".")):
        raise UnusableNameError(f"{path!r} is private to {package!r}")
    _refuse_foreign_code(path, path)
    target = _import(path)
    if not callable(target) or str(getattr(target, "__module__", package)).split(".")[0] not in allowed:
        raise UnusableNameError(f"{path!r} is not a callable of {package!r}")
    _refuse_foreign_code(path, f"{target.__module__}.{getattr(target, '__qualname__', '')}")
    if package not in trusted and not _admits(FIELDS[field], target):
        raise UnusableNameError(f"{path!r} cannot be used as {field}")
    return target


def _refuse_foreign_code(path: str, definition: str) -> None:
    """Raise if the place of definition can run foreign code: the same function may have many names."""
    if is_part_of(definition, RUN_FOREIGN_CODE):
        raise UnusableNameError(f"{path!r} can run code from outside a recipe and cannot be named in one")


def _import(path: str) -> Any:
    module, names = _longest_module(path)
    target: Any = module
    for name in names:
        if inspect.isclass(target):  # such as `from_pretrained`, which loads anything
            raise UnusableNameError(f"{path!r} is a method; a recipe names classes and functions")
        target = getattr(target, name, None)
        if target is None or isinstance(target, ModuleType):
            hint = did_you_mean(name, _public_names(module))
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
                raise UnusableNameError(f"{path!r} needs the package {error.name!r}, which is not installed") from None
    raise UnusableNameError(f"no module {parts[0]!r} is installed")


def _admits(field: CallField, target: Any) -> bool:
    """Return whether a class or function is of the kind that a field is for."""
    if inspect.isclass(target):
        return any(f"{base.__module__}.{base.__qualname__}" in field.classes for base in target.__mro__)
    name = getattr(target, "__name__", "")
    if is_torchvision_model(target):
        return TORCHVISION in field.functions and name in torchvision.models.list_models()
    modules = [importlib.import_module(module) for module in field.functions if module != TORCHVISION]
    return any(getattr(module, name, None) is target and name in _public_names(module) for module in modules)


def _public_names(module: ModuleType) -> list[str]:
    names = getattr(module, "__all__", None) or dir(module)
    if is_part_of(module.__name__, (TORCHVISION,)):  # only the functions that build models
        names = torchvision.models.list_models()
    return [name for name in names if not name.startswith("_") and callable(getattr(module, name, None))]
