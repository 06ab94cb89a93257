"""The command that prints JSON Schemas: schema."""

from enum import StrEnum
from typing import Annotated

import typer

from zoo.cli.command_function import command


class Kind(StrEnum):
    """A file format with a published schema."""

    recipe = "recipe"
    record = "record"


@command
def schema(
    kind: Annotated[Kind, typer.Argument(metavar="recipe|record", help="The file format.", show_default=False)],
) -> None:
    """Print the JSON Schema of recipes or of records.

    Save it beside your recipes as recipe.schema.json. Editors with the YAML language server complete and check the
    keys of a recipe that has the line '# yaml-language-server: $schema=recipe.schema.json'.

    Example: zoo schema recipe
    """
    from zoo import paths

    print(paths.json_schema(kind.value).read_text(encoding="utf-8"), end="")
