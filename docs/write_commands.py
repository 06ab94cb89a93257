"""Write docs/commands.md from the command line's own help: `python docs/write_commands.py`; `--check` only compares."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from zoo.cli.app import app

PAGE = Path(__file__).with_name("commands.md")
HEAD = """\
# Commands

This page is generated from `zoo --help`; `python docs/write_commands.py` writes it.

Data goes to stdout, progress to stderr. `--json` prints JSON with a `schema` number. [CI](ci.md#exit-codes) lists the
exit codes. Entries can be names, suites, globs (`'digits*'`), paths of recipes, or `OWNER/NAME[@REVISION]`, also with
`hf://` before it: a recipe that is published on the Hub, or else the claims in a [model card](any-model.md).
`zoo evaluate` reads weights (`.safetensors`, `.pt`, or the folder of a run) and predictions (`.csv`, `.tsv`, `.jsonl`,
`.json`, `.parquet`, `.npz`): a column `prediction` in the order of the split, or with a column `id` that counts from 0.
[Evaluation](evaluation.md#files-of-predictions) says how tags of words and answers to questions are written.
"""


def page() -> str:
    """Return the text of the page."""
    group: Any = typer.main.get_command(app)
    return "\n".join([HEAD, *(section(name, command) for name, command in commands(group) if not command.hidden)])


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the commands with their names, those of a group such as `attest` after it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def section(name: str, command: Any) -> str:
    """Return a command's heading, help, usage and a table of options for each panel."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden and p.name != "help"]
    usage = " ".join([f"zoo {name}", *(shown(argument) for argument in arguments), "[OPTIONS]"])
    panels: dict[str, list[Any]] = defaultdict(list)
    for option in options:
        panels[getattr(option, "rich_help_panel", None) or "Options"].append(option)
    text, _, example = plain(command.help).partition(" Example: ")
    shell = ["Example:", "", "```sh", example, "```", ""] if example else []
    lines = [f"## zoo {name}", "", text, "", "```text", usage, "```", "", *shell]
    if arguments:
        lines += ["| argument | meaning |", "|:--|:--|"]
        lines += [f"| `{shown(argument).strip('[]')}` | {plain(argument.help)} |" for argument in arguments] + [""]
    for panel, members in panels.items():
        lines += [f"| {panel} | meaning |", "|:--|:--|"] + [
            f"| {flags(o)} | {plain(o.help)}{extra(o)} |" for o in members
        ]
        lines += [""]
    return "\n".join(lines)


def shown(argument: Any) -> str:
    """Return an argument as a usage line shows it."""
    name = (argument.metavar or argument.name).upper().strip("{}.") + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def flags(option: Any) -> str:
    """Return an option's names with the placeholder of its value."""
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    return f"`{', '.join((*option.opts, *option.secondary_opts))}{value}`"


def extra(option: Any) -> str:
    """Return the environment variable that sets an option."""
    return f" Environment variable: `{option.envvar}`." if option.envvar else ""


def plain(text: str | None) -> str:
    """Return a help text on one line, safe in a table."""
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(
            0 if PAGE.read_text(encoding="utf-8") == page() else f"{PAGE} is stale: run python docs/write_commands.py"
        )
    PAGE.write_text(page(), encoding="utf-8")
