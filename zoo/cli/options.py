"""The options of the command line. Each shared option is declared once, with its help and its panel.

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

from zoo.cli.completion import complete_devices, complete_entries, complete_suites
from zoo.cli.exit_codes import INTERRUPTED, TERMINATED
from zoo.cli.json_lines import json_lines as events
from zoo.cli.verbosity import verbosity
from zoo.errors import Terminated, UsageError
from zoo.recipes.claim import Precision
from zoo.recipes.options import Backend, RunOptions, TrainingOptions
from zoo.stopping import terminable

WHAT, HOW, SOURCES, OUTPUT = "What to run", "Where and how", "Data and sources", "Output"
"""The panels of `--help`."""
INTERRUPTED_FLEET = {
    "plan": "no run was started; the same command writes the plan",
    "run_unit": "the same command goes on, from the last checkpoint of a training, and repeats no finished run",
}
"""What the commands for plans do when they are repeated after Ctrl-C, by the name of their function."""
Returned = TypeVar("Returned")


@dataclass(frozen=True)
class Without:
    """Leaves out some options of a dataclass: `options: Annotated[RunOptions, Without(("jobs",))]`."""

    names: tuple[str, ...]
    """The fields that have no option. They keep their defaults."""


def argument(metavar: str, text: str, complete: Callable[..., list[str]] | None = None) -> Any:
    """Return a positional argument. `complete` returns what a shell offers, see `zoo.cli.completion`."""
    return typer.Argument(metavar=metavar, help=text, show_default=False, autocompletion=complete)


def option(name: str, text: str, panel: str, metavar: str | None = None, short: str = "", **settings: Any) -> Any:
    """Return an option. Its help says what it does, then its default in words."""
    names = (name, short) if short else (name,)
    return typer.Option(*names, help=text, rich_help_panel=panel, metavar=metavar, show_default=False, **settings)


def parse_data(pairs: list[str]) -> dict[str, Path]:
    """Return the folders of `--data NAME=DIR` by name. Raise UsageError for any other text."""
    folders = {}
    for pair in pairs:
        name, _, folder = pair.partition("=")
        if not name or not folder:
            raise UsageError(f"--data {pair}: write NAME=DIR")
        folders[name] = Path(folder)
    return folders


ENTRY_HELP = (
    "Names, suites, globs such as 'digits*', recipe files or folders of them, or OWNER/NAME of a model or a recipe on"
    " the Hub."
)
Patterns = Annotated[list[str] | None, argument("ENTRY", ENTRY_HELP, complete_entries)]
RequiredPatterns = Annotated[list[str], argument("ENTRY", ENTRY_HELP, complete_entries)]
OneEntry = Annotated[
    str,
    argument("ENTRY", "An entry, a recipe file, or OWNER/NAME of a model or a recipe on the Hub.", complete_entries),
]

CardClaim = Annotated[
    str | None,
    option(
        "--claim",
        "For a model card with several recipes: only that with this claim or data set, such as glue/mrpc or 'f1"
        " (macro)'. Default: all.",
        WHAT,
        "CLAIM",
    ),
]
Suites = Annotated[
    list[str] | None,
    option(
        "--suite",
        "Only entries of this suite. Can be repeated. Default: any suite.",
        WHAT,
        "NAME",
        autocompletion=complete_suites,
    ),
]
Where = Annotated[
    str | None,
    option(
        "--where",
        "Only entries that fit this expression, such as 'params<30 and img_size<=224'. `zoo suite NAME --json` shows"
        " the columns. Default: all selected entries.",
        WHAT,
        "EXPR",
    ),
]
All = Annotated[bool, option("--all", "All shipped entries. Default: only the entries you name.", WHAT)]
Json = Annotated[bool, option("--json", "Print JSON instead of text. Default: text.", OUTPUT)]
JsonOrLines = Annotated[bool, option("--json", "Print JSON instead of text. Default: text.", OUTPUT), "lines"]
"""`--json` of a long command, which gets the option `--json-lines` too."""
JsonLines = Annotated[
    bool,
    option(
        "--json-lines",
        "Print events as JSON, one a line: the progress, and as the last line the result. Default: text.",
        OUTPUT,
    ),
]
Verbose = Annotated[
    bool,
    option(
        "--verbose",
        "Also report requests, runs that exist already and choices that zoo makes. Default: only notes.",
        OUTPUT,
        short="-v",
    ),
]
Quiet = Annotated[
    bool,
    option("--quiet", "Print only results and errors, and no progress. Default: also notes.", OUTPUT, short="-q"),
]

Lock = Annotated[
    Path | None,
    option(
        "--lock",
        "Use the pinned revisions and checksums in this file, for example for a mirror of the Hub."
        " Default: $ZOO_LOCK, else the project's lock.",
        SOURCES,
        "FILE",
    ),
]
Trust = Annotated[
    list[str] | None,
    option(
        "--trust",
        "Let recipes run any code of this Python package, such as your own models. Can be repeated. Default: only the"
        " listed names of zoo, torch, torchvision, timm, transformers, sklearn and scipy.",
        SOURCES,
        "PACKAGE",
    ),
]
Mirror = Annotated[
    Path | None,
    option(
        "--mirror",
        "Search this folder, by SHA-256, before downloading. Default: $ZOO_MIRROR, else none.",
        SOURCES,
        "DIR",
    ),
]
Cache = Annotated[
    Path | None,
    option(
        "--cache",
        "Read everything from this folder, which `zoo fetch --to` has filled, and send no request. Default: $ZOO_CACHE,"
        " else none.",
        SOURCES,
        "DIR",
    ),
]
Data = Annotated[
    list[str] | None,
    option(
        "--data",
        "Read the data set NAME from this folder. Can be repeated. Default: the folders in $ZOO_DATA.",
        SOURCES,
        "NAME=DIR",
    ),
]

Device = Annotated[
    str | None,
    option(
        "--device",
        "Compute on cpu, cuda, mps, or one of several GPUs, such as cuda:1. Default: auto, the best one available.",
        HOW,
        "DEVICE",
        autocompletion=complete_devices,
    ),
]
InPrecision = Annotated[
    Precision,
    option("--precision", "Compute in fp32, bf16 or, on a CUDA GPU, tf32 or fp16. Default: fp32.", HOW, "TYPE"),
]
Strict = Annotated[
    bool,
    option(
        "--strict",
        "Evaluate in batches of fixed shapes. On one device the logits of a row are then the same to the last bit,"
        " whatever the other rows, their order and the batch size. It is slower, most of all for small splits."
        " Default: fast batches.",
        HOW,
    ),
]
MicroBatch = Annotated[
    int | None,
    option(
        "--micro-batch",
        "Compute at most N examples at once and accumulate the gradients, to save memory. Default: the whole batch.",
        HOW,
        "N",
        min=1,
    ),
]
SaveEvery = Annotated[
    float,
    option(
        "--save-every",
        "Save a checkpoint every S seconds of training; 0 saves one after every step. Default: 300.",
        HOW,
        "S",
        min=0,
    ),
]
TimeLimit = Annotated[
    str | None,
    option(
        "--time-limit",
        "End before this time has passed since the start, with a checkpoint saved and exit code 75; the same command"
        " goes on. Write 2h, 90min, 20s, 5400 (seconds) or HH:MM:SS. Default: no limit.",
        HOW,
        "TIME",
    ),
]
ScoreEpochs = Annotated[
    bool,
    option(
        "--score-epochs",
        "Score the model on the scored splits after every epoch, for progress and log.jsonl. Default: only where the"
        " recipe selects its best epoch.",
        HOW,
    ),
]
LogTo = Annotated[
    list[str] | None,
    option(
        "--log-to",
        "Send the training log to a tracker of experiments while it is written: tensorboard, trackio, wandb or mlflow."
        " Its package must be installed. Can be repeated. Default: only log.jsonl.",
        OUTPUT,
        "TRACKER",
    ),
]
Records = Annotated[
    Path | None,
    option(
        "--records",
        "Keep your runs in this folder. Default: runs/ in $ZOO_HOME, else in the checkout, else in your data folder.",
        OUTPUT,
        "DIR",
    ),
]

Train = Annotated[
    bool,
    option("--train", "Train again and judge the claims of retraining. Default: evaluate the published weights.", WHAT),
]
Seeds = Annotated[
    int | None,
    option("--seeds", "Train with N seeds. Default: the number that the entry's claims name.", WHAT, "N", min=1),
]
FirstSeed = Annotated[
    int,
    option(
        "--first-seed",
        "Train with seeds from N on. Seeds from 1000 on are for recorded reference runs. Default: 0.",
        WHAT,
        "N",
        min=0,
    ),
]
Fresh = Annotated[
    bool,
    option(
        "--fresh",
        "Make runs again that exist already; each is replaced once the new one is complete. Default: use them.",
        HOW,
    ),
]
Jobs = Annotated[
    int | None,
    option(
        "--jobs",
        "Make N runs at once, each in a process with its share of the CPU threads. They take turns with the GPUs, or"
        " with those of --device, such as cuda:0,cuda:1. Default: 1; with --on local, one per GPU.",
        HOW,
        "N",
        min=1,
    ),
]

On = Annotated[
    Backend | None,
    option(
        "--on",
        "Where missing runs are made: local, in processes on this machine; slurm, in jobs of the cluster; ray, on a Ray"
        " cluster; hf-jobs, as Jobs of the Hub, only with --dry-run, which prints the commands. Default: in this"
        " process.",
        HOW,
    ),
]
RayAddress = Annotated[
    str | None,
    option(
        "--ray-address",
        "With --on ray, use the Ray cluster at this address, or the one that this machine belongs to with 'auto'."
        " Default: $RAY_ADDRESS, else a cluster is started on this machine.",
        HOW,
        "HOST:PORT",
    ),
]
SlurmConfigFile = Annotated[
    Path | None,
    option(
        "--slurm-config",
        "Read the settings of --on slurm, such as the partition, from the table [slurm] of this TOML file. Default:"
        " zoo.toml, if it exists.",
        HOW,
        "FILE",
    ),
]

FromFile = Annotated[
    Path | None,
    option(
        "--from",
        "Select the models of the Hub in this file: one OWNER/NAME or OWNER/NAME@REVISION a line, with # before"
        " comments. Default: none.",
        WHAT,
        "FILE",
    ),
]
Search = Annotated[
    str | None,
    option(
        "--search",
        "Select the models that a search of the Hub finds, such as 'task:text-classification dataset:glue', the most"
        " downloaded first. Default: none.",
        WHAT,
        "QUERY",
    ),
]
MaxModels = Annotated[
    int | None,
    option(
        "--max-models",
        "Select at most N models of --from and --search. Default: all of a file, 20 of a search.",
        WHAT,
        "N",
        min=1,
    ),
]
MaxBytes = Annotated[
    str | None,
    option(
        "--max-bytes",
        "Leave out models of --from and --search when their weights exceed this size together, such as 20GB."
        " Default: no limit.",
        WHAT,
        "SIZE",
    ),
]

DryRun = Annotated[
    bool,
    option(
        "--dry-run",
        "Print the runs that would be made, and how long they may take, and stop. Default: make them.",
        OUTPUT,
    ),
]

FIELDS: dict[str, Any] = {
    "from_file": FromFile, "search": Search, "max_models": MaxModels, "max_bytes": MaxBytes,
    "train": Train, "seeds": Seeds, "first_seed": FirstSeed, "device": Device, "precision": InPrecision,
    "strict": Strict,
    "micro_batch": MicroBatch, "save_every": SaveEvery, "time_limit": TimeLimit, "score_epochs": ScoreEpochs,
    "log_to": LogTo,
    "fresh": Fresh, "jobs": Jobs, "on": On, "slurm_config": SlurmConfigFile, "ray_address": RayAddress,
    "trust": Trust, "lock": Lock, "mirror": Mirror, "cache": Cache, "data": Data, "records": Records,
}  # fmt: skip
"""Field of a dataclass in `zoo.recipes.options` -> its option. The order is that of `--help`."""


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
    added = {"json_lines": JsonLines} if has_lines else {}
    added |= {"verbose": Verbose, "quiet": Quiet}
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in added.items()
    ]
    run.__signature__ = signature.replace(parameters=[*plain, *expanded, *common])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return run


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
