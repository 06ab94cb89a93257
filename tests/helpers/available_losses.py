"""Access to the losses for tests that are skipped, not broken, when the file of a loss is removed."""

from importlib import import_module
from typing import Any

import pytest

from harness import losses as package


class Removed:
    """Stand-in for a removed loss: a test that calls an instance, or reads an attribute, is skipped."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Accept any arguments."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        pytest.skip("the loss was removed")

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", "pytest", "test")):  # pytest inspects module-level objects
            raise AttributeError(name)
        pytest.skip("the loss was removed")


class AvailableLosses:
    """The names of `harness.losses`; a name that it lacks is `Removed`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(package, name, Removed)


def available_part(file: str, name: str) -> Any:
    """Return a name of a loss's file other than its class; `Removed()` if the file is gone."""
    try:
        return getattr(import_module(f"harness.losses.{file}"), name)
    except ModuleNotFoundError:
        return Removed()


losses = AvailableLosses()
