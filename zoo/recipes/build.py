"""Build the objects that a recipe describes from its inert calls."""

import functools
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from zoo.errors import RecipeError, ZooError
from zoo.fetch.offline import offline
from zoo.fetch.quantized_weights import without_warnings
from zoo.fetch.source_types import is_source
from zoo.fetch.sources import Source, Sources
from zoo.recipes.allowed import is_ours
from zoo.recipes.fields import nearest_field
from zoo.recipes.names import UnusableNameError, resolve
from zoo.recipes.values import Call
from zoo.trusted_code import is_part_of

QUANTIZATION = "torchvision.models.quantization"
Built = TypeVar("Built")


@dataclass(frozen=True)
class Builder:
    """Build calls. Names are imported from allowed and trusted packages; a text that names a source becomes a `Source`.

    `zoo.recipes.check` finds all problems of a recipe without building anything expensive.
    """

    trust: frozenset[str] = frozenset()
    """The packages that the user trusts."""
    sources: Sources = field(default_factory=Sources)
    checked_models: set[str] = field(default_factory=set, compare=False)
    """Calls of models that were built without memory before: many entries of a suite have the same model."""

    def at(self, recipe_repo: str | None, recipe_folder: Path | None) -> "Builder":
        """Return the builder for a recipe that is published in a repository, or that lies in a folder of the user."""
        return replace(self, sources=replace(self.sources, recipe_repo=recipe_repo, recipe_folder=recipe_folder))

    def target(self, call: Call, field: str) -> Any:
        """Return the class or function that a call names.

        Args:
            call: The call.
            field: The field that the call stands in, a key of `zoo.recipes.fields.FIELDS`.

        Raises:
            RecipeError: The name does not exist or may not be used there; with the position of the call.
        """
        try:
            return resolve(call.use, field, self.trust)
        except UnusableNameError as error:
            raise RecipeError.at(call.mark, str(error)) from None

    def build(self, call: Call, field: str, *args: Any, **supplied: Any) -> Any:
        """Return the object that a call describes.

        Args:
            call: The call.
            field: The field that the call stands in.
            *args: Positional arguments, before the call's own.
            **supplied: Keyword arguments that zoo adds to the call's own.

        Raises:
            RecipeError: The name cannot be used, or the callable refuses its arguments; with the position of the call.
        """
        function = self.partial(call, field)
        try:
            is_quantization = is_part_of(call.use, (QUANTIZATION,))
            with (
                offline() if self._is_library(function) else nullcontext(),
                without_warnings() if is_quantization else nullcontext(),
            ):
                return function(*args, **supplied)
        except ZooError:
            raise
        except (TypeError, ValueError, KeyError, RuntimeError, AssertionError, ImportError) as error:
            raise RecipeError.at(call.mark, f"{call.use}: {error}") from error

    def instance(self, call: Call, field: str, kind: type[Built], *args: Any, **supplied: Any) -> Built:
        """Return the object that a call describes, as `build` does; raise RecipeError if it is not of this kind."""
        built = self.build(call, field, *args, **supplied)
        if not isinstance(built, kind):
            raise RecipeError.at(call.mark, f"{call.use} must return a {kind.__name__}, not {type(built).__name__}")
        return built

    def partial(self, call: Call, field: str) -> functools.partial[Any]:
        """Return the callable with the call's own arguments filled in, for one that is called many times."""
        arguments = {key: self._argument(value, nearest_field(key, field)) for key, value in call.args.items()}
        return functools.partial(self.target(call, field), **arguments)

    def _is_library(self, function: Any) -> bool:
        """Return whether a function is of a library, which must not load anything; our own fetches, and verifies."""
        package = str(getattr(function.func, "__module__", "")).split(".", maxsplit=1)[0]
        return not is_ours(package) and package not in self.trust

    def _argument(self, value: Any, field: str) -> Any:
        if isinstance(value, Call):
            return self.build(value, field)
        if isinstance(value, list):
            return [self._argument(item, field) for item in value]
        if isinstance(value, dict):
            return {key: self._argument(item, field) for key, item in value.items()}
        return Source(self.sources, value) if is_source(value) else value
