"""The result of an import: a recipe as data, with what was assumed and where the two tools differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ImportedRecipe:
    """A recipe that was made from a configuration of another tool."""

    tool: str
    """The tool, such as `torchdistill`."""
    source: str
    """The configuration, as the user named it."""
    recipe: Mapping[str, Any]
    """The recipe as plain data, in the order of its keys."""
    assumptions: tuple[str, ...] = field(default=())
    """What the configuration does not say, and the recipe assumes."""
    differences: tuple[str, ...] = field(default=())
    """Where a training with the recipe differs from one with the other tool."""

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return str(self.recipe["name"])
