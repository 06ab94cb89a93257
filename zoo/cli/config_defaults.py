"""Check the settings of a configuration file against the commands, and turn them into defaults of options.

A configuration file may come with a folder that was downloaded. So it must not be able to run code, to trust a package,
to choose which bytes are trusted, or to read or write outside its own folder: only the options in `ALLOWED` can be set,
and paths must lie in the folder of the file.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from zoo import paths
from zoo.cli.config_file import ConfigFile
from zoo.cli.usage_hints import without_library_words
from zoo.errors import UsageError, did_you_mean

ALLOWED = frozenset({
    "device", "precision", "strict", "micro-batch", "save-every", "time-limit", "score-epochs", "jobs",
    "train", "seeds", "suite", "where", "fail-on", "split", "limit", "here",
    "junit", "summary", "html", "records", "mirror", "cache", "data", "json", "json-lines", "verbose", "quiet",
})  # fmt: skip
"""The options that a configuration file can set."""
PATHS = frozenset({"junit", "summary", "html", "records", "mirror", "cache"})
DATA_NAME = re.compile(r"[\w.-]+")
"""A name of a data set. `=` would end it, and what follows would be a path that nobody has checked."""
REASONS: Mapping[str, str] = {
    "trust": "it lets recipes run code", "on": "it can run code", "slurm-config": "it can run code",
    "ray-address": "it can run code", "lock": "it chooses which bytes are trusted",
    "log-to": "it sends what is trained elsewhere",
}  # fmt: skip
"""Why some options cannot be set. Any other one belongs to a single command."""
OF_ENVIRONMENT: Mapping[str, str] = {"mirror": "ZOO_MIRROR", "cache": "ZOO_CACHE", "records": "ZOO_HOME"}
"""Options whose default an environment variable sets, which comes before the configuration file."""
NEEDING_TRAIN = ("seeds", "score_epochs")
"""Options that are no error without --train if a configuration file sets them, and then have no effect."""
FIXED = ("run-unit",)
"""Commands without settings: a unit of a plan is made as the plan says."""
Defaults = dict[str, Any]


def defaults_of(config: ConfigFile, group: Any, ctx: Any) -> Defaults:
    """Return the defaults of all commands: click's `default_map`.

    Args:
        config: The configuration file.
        group: The root of the commands.
        ctx: A context, which click needs to convert values.

    Raises:
        UsageError: A table is no command, or a key is no option that can be set, or has a wrong value.
    """
    return _of_table(config, (), config.settings, group, ctx, {})


def _of_table(
    config: ConfigFile, keys: tuple[str, ...], table: Mapping[str, Any], command: Any, ctx: Any, inherited: Defaults
) -> Defaults:
    commands: Mapping[str, Any] = getattr(command, "commands", {})
    known = dict(_options(command))
    values = {name: value for name, value in inherited.items() if name in known}
    for key, value in table.items():
        if not (isinstance(value, dict) and (key in commands or key not in known)):
            values[key] = _checked(config, (*keys, key), value, known, ctx, commands)
        elif key not in commands or key in FIXED:
            hint = did_you_mean(key, [name for name in commands if name not in FIXED])
            what = "cannot be configured" if key in FIXED else "is no command of zoo"
            raise UsageError(f"{config.where(*keys, key)}: [{_dotted(config, keys, key)}]: {key!r} {what}{hint}")
    if not commands:
        return {known[name].name: value for name, value in values.items() if name not in _of_environment()}
    return {
        name: _of_table(config, (*keys, name), table.get(name, {}), each, ctx, values)
        for name, each in commands.items()
        if name not in FIXED
    }


def _options(command: Any) -> Iterator[tuple[str, Any]]:
    """Yield the options of a command by their names, or those of all commands of a group."""
    for each in getattr(command, "commands", {}).values():
        yield from _options(each)
    for parameter in () if hasattr(command, "commands") else command.params:
        if parameter.param_type_name == "option":
            yield from ((name.removeprefix("--"), parameter) for name in parameter.opts if name.startswith("--"))


def _checked(
    config: ConfigFile, keys: tuple[str, ...], value: Any, known: Mapping[str, Any], ctx: Any,
    commands: Collection[str],
) -> Any:  # fmt: skip
    """Return the value of an option as click expects it in a `default_map`."""
    key, where = keys[-1], config.where(*keys)
    if key in commands and key not in known:
        raise UsageError(
            f"{where}: {key!r} is a command, so its options stand in a table: write [{_dotted(config, keys)}], and"
            " below it a line for each option, such as quiet = true"
        )
    if key in known and key not in ALLOWED:
        reason = REASONS.get(key, "it says what a single command does")
        raise UsageError(
            f"{where}: {key!r} cannot be set in a configuration file: {reason}; pass --{key} to the command"
        )
    if key not in known:
        table = _dotted(config, keys[:-1])
        of_table = f" in [{table}]" if table else ""
        raise UsageError(f"{where}: unknown option {key!r}{of_table}{did_you_mean(key, sorted(ALLOWED & {*known}))}")
    texts = _texts(config, keys, value, known[key])
    if not known[key].is_flag:
        try:
            known[key].process_value(ctx, texts)
        except typer.BadParameter as error:
            raise UsageError(f"{where}: {key} = {value!r}: {without_library_words(error.message)}") from None
    return texts


def _texts(config: ConfigFile, keys: tuple[str, ...], value: Any, option: Any) -> Any:
    """Return a value as the command line would have it: as text, a list of texts, or whether a flag is set."""
    key, where = keys[-1], config.where(*keys)
    if option.is_flag:
        return _expected(isinstance(value, bool), value, "true or false", key, where)
    if key == "data":
        _expected(isinstance(value, dict), value, 'a table such as {cifar10 = "data/cifar10"}', key, where)
        if wrong := next((name for name in value if not DATA_NAME.fullmatch(name)), None):
            raise UsageError(f"{where}: data: {wrong!r} is no name of a data set: write letters, digits, _, . and -")
        own = {name: folder for name, folder in value.items() if name not in paths.data()}
        return [f"{name}={_inside(config, (*keys, name), folder)}" for name, folder in own.items()]
    if option.multiple:
        is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return _expected(is_list, value, "a list of texts", key, where)
    _expected(
        isinstance(value, str | int | float) and not isinstance(value, bool), value, "a text or number", key, where
    )
    return str(_inside(config, keys, value)) if key in PATHS else str(value)


def _expected(condition: bool, value: Any, expected: str, key: str, where: str) -> Any:
    if not condition:
        raise UsageError(f"{where}: {key} = {value!r}: expected {expected}")
    return value


def _inside(config: ConfigFile, keys: tuple[str, ...], value: Any) -> Path:
    """Return a path, relative to the folder of the configuration file. Raise UsageError if it leads out of it."""
    where, folder = config.where(*keys), config.path.absolute().parent
    _expected(isinstance(value, str) and "\0" not in value, value, "a path", keys[-1], where)
    path = folder / str(value)
    if not path.resolve().is_relative_to(folder.resolve()):
        option = "data" if "data" in keys[:-1] else keys[-1]
        instead = f", or set {OF_ENVIRONMENT[option]}" if option in OF_ENVIRONMENT else ""
        raise UsageError(
            f"{where}: {keys[-1]} = {value!r}: a configuration file can only name paths in its own folder; pass"
            f" --{option} to the command{instead}"
        )
    return path


def _of_environment() -> frozenset[str]:
    """Return the options that environment variables set."""
    return frozenset(option for option, variable in OF_ENVIRONMENT.items() if os.environ.get(variable))


def _dotted(config: ConfigFile, keys: tuple[str, ...], *more: str) -> str:
    return ".".join((*config.prefix, *keys, *more))


def without_effect(ctx: Any) -> None:
    """Drop defaults of a configuration file that the command line overrules.

    Those of `NEEDING_TRAIN` have no effect without --train, and must not be refused for that. --json on the command
    line comes before `json-lines` in the file.
    """
    json = ctx.get_parameter_source("as_json")
    if json is not None and json.name == "COMMANDLINE" and is_configured(ctx, "json_lines"):
        ctx.params["json_lines"] = False
    for name in NEEDING_TRAIN if not ctx.params.get("train") else ():
        if name in ctx.params and is_configured(ctx, name):
            ctx.params[name] = next(each.default for each in ctx.command.params if each.name == name)


def is_configured(ctx: Any, name: str) -> bool:
    """Return whether the value of an option is from a configuration file."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "DEFAULT_MAP"


def configured_options(ctx: Any) -> dict[str, Any]:
    """Return the options of a command whose values are from a configuration file, by name."""
    options = {
        parameter.opts[0]: parameter.name for parameter in ctx.command.params if is_configured(ctx, parameter.name)
    }
    return {option: ctx.params.get(name) for option, name in options.items()}


def with_origin(error: UsageError, ctx: Any, config: ConfigFile) -> UsageError:
    """Return an error about options with the place in the configuration file where they are set."""
    text, names = str(error), tuple(each.info_name for each in _chain(ctx))
    set_here = [option for option in configured_options(ctx) if f"{option} " in f"{text} " or f"{option}:" in text]
    if not set_here:
        return error
    places = (f"{option} is set in {_origin(config, names, option.removeprefix('--'))}" for option in set_here)
    return UsageError(f"{text} ({'; '.join(places)})")


def _origin(config: ConfigFile, command: tuple[str, ...], option: str) -> str:
    """Return where an option is set: in the table of the command, or for all commands."""
    for count in range(len(command), -1, -1):
        table: Any = config.settings
        for name in command[:count]:
            table = table.get(name, {}) if isinstance(table, dict) else {}
        if isinstance(table, dict) and option in table:
            return config.where(*command[:count], option)
    return str(config.path)


def of_command(defaults: Defaults, ctx: Any) -> Defaults:
    """Return the defaults of the command of a context."""
    for each in _chain(ctx):
        defaults = defaults.get(each.info_name, {})
    return defaults


def _chain(ctx: Any) -> list[Any]:
    """Return the contexts from below the root to a command."""
    return [] if ctx.parent is None else [*_chain(ctx.parent), ctx]
