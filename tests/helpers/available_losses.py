"""The losses by name, for tests that outlive the removal of any of them."""

from importlib import import_module
from typing import Any

import pytest

from harness import losses


class Removed:
    """In the place of a loss that is not there: a test that uses what is made of it is skipped."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Taken with whatever a loss is made with."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        pytest.skip("the loss was removed")

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", "pytest", "test")):  # pytest looks through what a module holds
            raise AttributeError(name)
        pytest.skip("the loss was removed")


class Present:
    """`harness.losses`, with `Removed` for every name that it lacks."""

    def __getattr__(self, name: str) -> Any:
        return getattr(losses, name, Removed)


def part_of(file: str, name: str) -> Any:
    """What a loss's file has besides its class."""
    try:
        return getattr(import_module(f"harness.losses.{file}"), name)
    except ModuleNotFoundError:
        return Removed()


L = Present()
