"""The options of many commands: entries, sources and output. Each is declared once, with its help and its panel."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.completion import complete_entries, complete_suites

WHAT, HOW, SOURCES, OUTPUT = "What to run", "Where and how", "Data and sources", "Output"
"""The panels of `--help`."""


def argument(metavar: str, text: str, complete: Callable[..., list[str]] | None = None) -> Any:
    """Return a positional argument. `complete` returns what a shell offers, see `zoo.cli.completion`."""
    return typer.Argument(metavar=metavar, help=text, show_default=False, autocompletion=complete)


def option(name: str, text: str, panel: str, metavar: str | None = None, short: str = "", **settings: Any) -> Any:
    """Return an option. Its help says what it does, then its default in words."""
    names = (name, short) if short else (name,)
    return typer.Option(*names, help=text, rich_help_panel=panel, metavar=metavar, show_default=False, **settings)


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
        "Read the data set NAME from this folder, or a file that the author of a recipe on the Hub has not published."
        " Can be repeated. Default: the folders in $ZOO_DATA.",
        SOURCES,
        "NAME=DIR",
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
