"""Show `--help` in panels, and name the replacements of options of earlier versions."""

from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from zoo.cli.options import HOW, OUTPUT, SOURCES, WHAT
from zoo.errors import UsageError

PANELS = (WHAT, HOW, SOURCES, OUTPUT)
"""The panels of options, in the order of `--help`."""

REPLACED_OPTIONS = {
    ("verify", "--quick"): "use the command `zoo fingerprint`",
    ("verify", "--update"): "use `zoo fingerprint --update`",
}
"""Options of earlier versions, and what to use instead."""


class Command(TyperCommand):
    """A command with its options in panels."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments. Raise UsageError for an option of an earlier version, naming its replacement."""
        for argument in args:
            name = argument.partition("=")[0]
            if replacement := REPLACED_OPTIONS.get((str(self.name), name)):
                raise UsageError(f"zoo {self.name} no longer has the option {name}: {replacement}")
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise

    def get_help_option(self, ctx: Any) -> Any:
        """Return `--help`, in the panel of output options."""
        help_option: Any = super().get_help_option(ctx)
        help_option.rich_help_panel = OUTPUT
        return help_option

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the arguments, then the options, sorted by panel."""
        parameters: list[Any] = super().get_params(ctx)
        return sorted(parameters, key=_panel_number)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print `--help`."""
        _hide_types(self.get_params(ctx))
        super().format_help(ctx, formatter)


class Commands(TyperGroup):
    """All commands."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print `--help`."""
        _hide_types(self.get_params(ctx))
        super().format_help(ctx, formatter)


def _panel_number(parameter: Any) -> int:
    panel = getattr(parameter, "rich_help_panel", None)
    return PANELS.index(panel) + 1 if panel in PANELS else 0


def _hide_types(parameters: Iterable[Any]) -> None:
    """Leave out of `--help` what typer adds to it: types of arguments and flags, and ranges of numbers."""
    for parameter in parameters:
        parameter.min = None
        if isinstance(parameter, TyperArgument) or parameter.is_flag:
            parameter.display_type_rich = lambda ctx: ""
