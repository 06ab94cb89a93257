"""Turn a function into a command: its dataclasses into options, and an interruption into an exit code.

A command takes a dataclass of `zoo.recipes.options` as a parameter; `command` turns its fields into options.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Collection
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import typer

from zoo.cli import options as shared
from zoo.cli import run_options as runs
from zoo.cli.exit_codes import INTERRUPTED, TERMINATED
from zoo.cli.json_lines import json_lines as events
from zoo.cli.verbosity import verbosity
from zoo.errors import Terminated, UsageError
from zoo.recipes.options import RunOptions, TrainingOptions
from zoo.stopping import terminable

FIELDS: dict[str, Any] = {
    "from_file": shared.FromFile, "search": shared.Search, "max_models": shared.MaxModels,
    "max_bytes": shared.MaxBytes, "train": runs.Train, "seeds": runs.Seeds, "first_seed": runs.FirstSeed,
    "device": runs.Device, "precision": runs.InPrecision, "strict": runs.Strict, "micro_batch": runs.MicroBatch,
    "save_every": runs.SaveEvery, "time_limit": runs.TimeLimit, "score_epochs": runs.ScoreEpochs,
    "log_to": runs.LogTo, "fresh": runs.Fresh, "jobs": runs.Jobs, "on": runs.On,
    "slurm_config": runs.SlurmConfigFile, "ray_address": runs.RayAddress, "trust": shared.Trust, "lock": shared.Lock,
    "mirror": shared.Mirror, "cache": shared.Cache, "data": shared.Data, "records": shared.Records,
}  # fmt: skip
"""Field of a dataclass in `zoo.recipes.options` -> its option. The order is that of `--help`."""
INTERRUPTED_FLEET = {
    "plan": "no run was started; the same command writes the plan",
    "run_unit": "the same command goes on, from the last checkpoint of a training, and repeats no finished run",
}
"""Name of the function of a command for plans -> how the command goes on when it is repeated after Ctrl-C."""
Returned = TypeVar("Returned")


@dataclass(frozen=True)
class Without:
    """Leaves out some options of a dataclass: `options: Annotated[RunOptions, Without(("jobs",))]`."""

    names: tuple[str, ...]
    """The fields that have no option. They keep their defaults."""


def command(function: Callable[..., Returned]) -> Callable[..., Returned]:
    """Return a command in the form that typer needs.

    Every dataclass parameter is replaced by one option for each of its fields, except those of `Without`. The command
    gets --verbose, --quiet and, with a parameter `JsonOrLines`, --json-lines. Ctrl-C and SIGTERM end the command with
    their exit codes.
    """
    signature = inspect.signature(function, eval_str=True)
    groups = {name: _group(p.annotation) for name, p in signature.parameters.items() if _is_group(p.annotation)}

    @functools.wraps(function)
    def run(verbose: bool = False, quiet: bool = False, json_lines: bool = False, **values: Any) -> Returned:
        if json_lines:
            values["as_json"] = True
        for name, (kind, names) in groups.items():
            chosen = {field: values.pop(field) for field in names}
            if chosen.get("data"):
                chosen["data"] = parse_data(chosen["data"])
            values[name] = kind(**{key: value for key, value in chosen.items() if value is not None})
        try:
            with terminable(), verbosity(verbose=verbose, quiet=quiet), events(wanted=json_lines):
                return function(**values)
        except Terminated:
            raise typer.Exit(TERMINATED) from None
        except KeyboardInterrupt:
            options = next((value for value in values.values() if isinstance(value, TrainingOptions)), None)
            if message := _what_goes_on(function.__name__, options):
                print(f"interrupted: {message}", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None

    plain = [parameter for name, parameter in signature.parameters.items() if name not in groups]
    expanded = [parameter for kind, names in groups.values() for parameter in _parameters(kind, names)]
    expanded.sort(key=lambda parameter: list(FIELDS).index(parameter.name))
    has_lines = any(get_args(parameter.annotation)[-1:] == ("lines",) for parameter in plain)
    added = {"json_lines": shared.JsonLines} if has_lines else {}
    added |= {"verbose": shared.Verbose, "quiet": shared.Quiet}
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in added.items()
    ]
    run.__signature__ = signature.replace(parameters=[*plain, *expanded, *common])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return run


def parse_data(pairs: list[str]) -> dict[str, Path]:
    """Return the folders of `--data NAME=DIR` by name. Raise UsageError for any other text."""
    folders = {}
    for pair in pairs:
        name, _, folder = pair.partition("=")
        if not name or not folder:
            raise UsageError(f"--data {pair}: write NAME=DIR")
        folders[name] = Path(folder)
    return folders


def _what_goes_on(name: str, options: TrainingOptions | None) -> str:
    """Return what the same command does after it was interrupted; nothing for a command that makes no runs."""
    if name in INTERRUPTED_FLEET or options is None:
        return INTERRUPTED_FLEET.get(name, "")
    if options.fresh and isinstance(options, RunOptions) and not options.uses_fleet:
        return "because of --fresh the same command makes all runs again; without it, runs that exist are not repeated"
    return "the same command goes on, and repeats no finished run"


def _is_group(annotation: Any) -> bool:
    return is_dataclass(get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation)


def _group(annotation: Any) -> tuple[Any, list[str]]:
    """Return a dataclass of options, and the names of the fields that become options."""
    kind, *notes = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    left_out = {name for note in notes if isinstance(note, Without) for name in note.names}
    return kind, [field.name for field in fields(kind) if field.name not in left_out]


def _parameters(kind: Any, names: Collection[str]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if field.default is MISSING else field.default or None,
            annotation=FIELDS[field.name],
        )
        for field in fields(kind)
        if field.name in names
    ]
