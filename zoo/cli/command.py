"""Show `--help` in panels, apply the configuration file, and name the replacements of options of earlier versions."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

from zoo.cli.config_defaults import configured_options, defaults_of, of_command, with_origin, without_effect
from zoo.cli.config_file import ConfigFile, find_config, read_config
from zoo.cli.options import HOW, OUTPUT, SOURCES, WHAT
from zoo.cli.progress import report
from zoo.cli.usage_hints import plain_usage_errors
from zoo.errors import UsageError

PANELS = (WHAT, HOW, SOURCES, OUTPUT)
"""The panels of options, in the order of `--help`."""

REPLACED_OPTIONS = {
    ("verify", "--quick"): "use the command `zoo fingerprint`",
    ("verify", "--update"): "use `zoo fingerprint --update`",
}
"""Options of earlier versions, and what to use instead."""
CONFIG = "zoo.config"
"""The configuration file in the `meta` of a context: the chosen path, then the file that was read, or None."""


class Command(TyperCommand):
    """A command with its options in panels."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments. Raise UsageError for an option of an earlier version, naming its replacement."""
        for argument in args:
            name = argument.partition("=")[0]
            if replacement := REPLACED_OPTIONS.get((str(self.name), name)):
                raise UsageError(f"zoo {self.name} no longer has the option {name}: {replacement}")
            if name in ("--config", "--no-config"):
                raise UsageError(
                    f"{name} comes before the command: zoo {name}{' FILE' * (name == '--config')} {self.name}"
                )
        if not (ctx.resilient_parsing or {"-h", "--help"} & {*args}):
            _configure(ctx)
        with plain_usage_errors(ctx, args):
            rest = super().parse_args(ctx, args.copy())
        without_effect(ctx)
        if isinstance(config := ctx.meta.get(CONFIG), ConfigFile):
            _report_options(ctx, config)
            ctx.with_resource(_errors_name(config, ctx))
        return rest

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

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments. Raise UsageError for a wrong one; without arguments, typer prints the help."""
        with plain_usage_errors(ctx, args) if args else nullcontext():
            rest: list[str] = super().parse_args(ctx, args.copy())
            if args and not ctx.resilient_parsing and getattr(ctx, "_protected_args", None) == []:
                ctx.fail("Missing command.")  # before typer finds it, in a call that this one cannot guard
        return rest

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name. Raise UsageError if there is none of this name."""
        with plain_usage_errors(ctx, []):
            return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print `--help`."""
        _hide_types(self.get_params(ctx))
        super().format_help(ctx, formatter)


def _configure(ctx: Any) -> None:
    """Read the configuration file, and make its settings the defaults of the command's options."""
    chosen: Path | None = ctx.meta.get(CONFIG, Path())
    if chosen is None:
        return
    config = find_config(Path.cwd()) if chosen == Path() else read_config(chosen)
    ctx.meta[CONFIG] = config
    if config is not None:
        ctx.default_map = of_command(defaults_of(config, ctx.find_root().command, ctx), ctx)


def _report_options(ctx: Any, config: ConfigFile) -> None:
    if ctx.params.get("verbose"):
        options = ", ".join(f"{name} {value}" for name, value in configured_options(ctx).items() if value is not None)
        report(f"options of {config.path}: {options or 'none for this command'}")


@contextmanager
def _errors_name(config: ConfigFile, ctx: Any) -> Iterator[None]:
    """Add to an error about an option of the configuration file the line that sets it."""
    try:
        yield
    except UsageError as error:
        if type(error) is not UsageError:
            raise
        raise with_origin(error, ctx, config) from None


class ListsByDefault(Commands):
    """A group of commands whose `list` also runs without its name: `zoo runs --sort size`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; those that name no command are of `list`."""
        is_named = bool(args) and (args[0] in self.commands or args[0] in ("-h", "--help"))
        parsed: list[str] = super().parse_args(ctx, args if is_named else ["list", *args])
        return parsed


def _panel_number(parameter: Any) -> int:
    panel = getattr(parameter, "rich_help_panel", None)
    return PANELS.index(panel) + 1 if panel in PANELS else 0


def _hide_types(parameters: Iterable[Any]) -> None:
    """Leave out of `--help` what typer adds to it: types of arguments and flags, and ranges of numbers."""
    for parameter in parameters:
        parameter.min = None
        if isinstance(parameter, TyperArgument) or parameter.is_flag:
            parameter.display_type_rich = lambda ctx: ""
