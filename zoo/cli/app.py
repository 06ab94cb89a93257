"""The command line: its commands, and what any command does about errors and signals.

Results go to stdout; messages and progress go to stderr. Exit codes: 0 all reproduced; 1 something is not reproduced, a
claim is inconsistent or impossible, a page or the lock is out of date, or a submission has problems; 2 wrong usage or
recipe; 3 something is inconclusive, uninformative, not compared or not run; 4 a file, download or device is not
available; 5 bytes differ from the pinned ones; 70 a bug in zoo; 75 the time limit is nearly over; 130 Ctrl-C; 143
SIGTERM. If several apply, the most severe is returned: 70, 5, 2, 1, 4, 3.
"""

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from zoo.api.libraries import configure_libraries
from zoo.cli import (
    attest,
    audit,
    caches,
    cards,
    collect,
    diagnose,
    entries,
    environment,
    fetch,
    fleet,
    importing,
    init,
    lock,
    plot,
    publish,
    publish_run,
    run_unit,
    schemas,
    show_run,
    stored_runs,
    suites,
    train,
    upload,
    verify,
)
from zoo.cli.command import CONFIG, Command, Commands, ListsByDefault
from zoo.cli.completion import join_words
from zoo.cli.progress import report_unreachable
from zoo.cli.streams import safe_streams
from zoo.error_translation import translate_errors
from zoo.errors import UsageError, ZooError
from zoo.safe_text import printable

COMMANDS: dict[str, dict[str, Any]] = {
    "Check published models": {
        "audit": audit.audit,
        "verify": verify.verify,
        "reproduce": verify.reproduce,
        "fingerprint": diagnose.fingerprint,
        "explain": diagnose.explain,
        "diff": diagnose.diff,
    },
    "Train and evaluate your own": {"train": train.train, "evaluate": train.evaluate, "plot": plot.plot},
    "Read recipes": {
        "list": entries.list_entries,
        "suite": suites.suite,
        "show": entries.show,
        "init": init.init,
        "recipe": cards.recipe,
        "check": entries.check,
        "doctor": entries.doctor,
        "schema": schemas.schema,
    },
    "Download and pin files": {"fetch": fetch.fetch, "lock": lock.lock},
    "Many machines": {
        "plan": fleet.plan,
        "status": fleet.status,
        "collect": collect.collect,
        "run-unit": run_unit.run_unit,
    },
    "Publish results": {
        "upload": upload.upload,
        "publish": publish_run.publish,
        "leaderboard": publish.leaderboard,
        "submit": publish.submit,
    },
    "Report a problem": {"env": environment.env},
}
"""The panels of `zoo --help`, and the commands in each."""
ATTEST: dict[str, Any] = {"sign": attest.sign, "verify": attest.verify, "key": attest.key}
"""The commands of `zoo attest`."""
IMPORT: dict[str, Any] = {
    "torchdistill": importing.torchdistill, "timm": importing.timm, "trainer": importing.trainer,
}  # fmt: skip
"""The commands of `zoo import`."""
RUNS: dict[str, Any] = {
    "list": stored_runs.list_runs, "show": show_run.show_run, "remove": stored_runs.remove_runs,
    "size": stored_runs.size_of_runs,
}  # fmt: skip
"""The commands of `zoo runs`."""
CACHE: dict[str, Any] = {"size": caches.size, "prune": caches.prune}
"""The commands of `zoo cache`."""


def _help_of(command: Callable[..., Any]) -> str:
    """Return the docstring with each paragraph on one line, as typer requires."""
    paragraphs = str(command.__doc__).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 reproduced, 1 not reproduced, 2 wrong usage, 3 inconclusive or not run, 4 a file or device is"
    " missing, 5 bytes differ from the pinned ones, 70 a bug in zoo, 75 stopped before --time-limit.",
)
for _panel, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        app.command(_name, cls=Command, rich_help_panel=_panel, help=_help_of(_command))(_command)


def _add_group(name: str, panel: str, about: str, commands: Mapping[str, Any], kind: type[Commands] = Commands) -> None:
    """Add a group of commands; without a command it prints its help, unless its kind runs one."""
    group = typer.Typer(cls=kind, no_args_is_help=kind is Commands, help=about)
    for command_name, command in commands.items():
        group.command(command_name, cls=Command, help=_help_of(command))(command)
    app.add_typer(group, name=name, rich_help_panel=panel)


_add_group("attest", "Publish results", "Sign what a run measured, or check a signed result.", ATTEST)
_add_group("import", "Read recipes", "Turn the configuration of another tool into a recipe.", IMPORT)
_add_group(
    "runs",
    "Train and evaluate your own",
    "List, show and remove your runs. Without a command: list them.",
    RUNS,
    ListsByDefault,
)
_add_group("cache", "Download and pin files", "Show and clean what zoo has downloaded or computed.", CACHE)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(environment.version_text())
        raise typer.Exit


@app.callback()
def _program(
    ctx: typer.Context,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version, and the commit of a checkout, and exit.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Read the defaults of options from this file. Default: the nearest zoo.toml, or pyproject.toml with"
            " the table tool.zoo, in this folder or its parents.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    no_config: Annotated[
        bool, typer.Option("--no-config", help="Read no configuration file. Default: see --config.", show_default=False)
    ] = False,
) -> None:
    """Check whether published weights, configurations and scores agree.

    Start with: zoo verify --suite starter
    """
    if config is not None and no_config:
        raise UsageError("--config and --no-config exclude each other")
    ctx.meta[CONFIG] = None if no_config else config or Path()


@cache  # a process that runs several commands need not read their options again
def _parser() -> Callable[..., object]:
    return get_command(app)


def main() -> None:
    """Run the command line and exit. An error is one or more plain lines on stderr, never a traceback."""
    configure_libraries()
    join_words(os.environ)
    with safe_streams():
        rank = int(os.environ.get("RANK", "0"))
        code = 0
        try:
            with translate_errors("zoo", library_errors_are_bugs=True):
                try:
                    _parser()(prog_name="zoo")
                except SystemExit as end:
                    code = int(end.code or 0)
                sys.stdout.flush()
        except ZooError as error:
            print(printable(f"process {rank}: {error}" if rank else str(error)), file=sys.stderr)
            report_unreachable([error])
            code = error.exit_code
        sys.exit(code)
