"""A package that imports its modules when their functions are first used: torchvision and transformers take seconds."""

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class LazyPackage(ModuleType):
    """A package with functions from its modules. A function takes precedence over a module of the same name."""

    def __getattr__(self, name: str) -> Any:
        """Import the module of a function, and return the function."""
        modules: Mapping[str, str] = self.__dict__["MODULES"]
        if name not in modules:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        function = getattr(import_module(f"{self.__name__}.{modules[name]}"), name)
        setattr(self, name, function)
        return function

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; Python sets a module here once it is imported."""
        is_hidden = isinstance(value, ModuleType) and name in self.__dict__["MODULES"]
        super().__setattr__(name, getattr(value, name) if is_hidden else value)


def make_lazy(package: str) -> None:
    """Make a package lazy. Its `MODULES` maps each function to the module that defines it."""
    sys.modules[package].__class__ = LazyPackage
