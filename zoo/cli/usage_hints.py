"""Say in one line what is wrong with the words of a command, and what to write instead."""

import re
import shlex
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from zoo.text_tables import first_of

EXTRA = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL)
"""The message of typer about a word too many."""
EXAMPLE = re.compile(r"Example: (.*)\s*\Z", re.DOTALL)
RECIPE_KEYS = {
    "learning_rate": "lr", "num_epochs": "epochs", "bs": "batch_size", "scheduler": "schedule",
    "max_grad_norm": "clip_norm",
    **{
        key: key
        for key in (
            "epochs", "batch_size", "lr", "weight_decay", "momentum", "warmup", "optimizer", "schedule", "clip_norm",
            "loss", "model", "teacher", "temperature", "max_length", "dropout", "tokenizer", "task", "metrics",
        )
    },
}  # fmt: skip
"""Names of options that other programs have -> the key of a recipe that says the same."""
HIDDEN = "run-unit"
MOST_COMMANDS = 3


def usage_hint(error: Exception, ctx: Any, words: Sequence[str]) -> str | None:
    """Return a message that says more than an error of typer; None if there is nothing to add.

    Args:
        error: The error.
        ctx: The context of the command.
        words: The arguments of the command.
    """
    if hasattr(error, "possibilities"):  # NoSuchOption, which typer does not export
        return _unknown_option(str(getattr(error, "option_name", "")), ctx, words)
    if hasattr(error, "param_type") and hasattr(error, "format_message"):  # MissingParameter
        example = EXAMPLE.search(ctx.command.help or "")
        message = " ".join(str(error.format_message()).split()).rstrip(".")
        return f"{ctx.command_path}: {message[:1].lower()}{message[1:]}" + (
            f". Example: {example[1]}" if example else ""
        )
    if found := EXTRA.match(str(getattr(error, "message", ""))):
        return _word_too_many(found[1], ctx, words)
    return None


def without_library_words(message: str) -> str:
    """Return what is wrong with the value of an option, without the words of the library that has checked it."""
    plain = message.removeprefix("Value error, ").replace(
        "Input should be greater than or equal to", "the number must be at least"
    )
    return (
        "write a whole number" if "valid integer" in plain else "write a number" if "valid number" in plain else plain
    )


def _unknown_option(name: str, ctx: Any, words: Sequence[str]) -> str:
    message = f"{ctx.command_path} has no option {name}"
    key = RECIPE_KEYS.get(name.lstrip("-").replace("-", "_").lower())
    if key is not None:
        recipe = next((word for word in words if word.endswith((".yaml", ".yml"))), None)
        how = f"set it in {recipe}" if recipe else "`zoo show ENTRY > mine.yaml` writes a recipe to change"
        return f"{message}: `{key}` is a part of the recipe; {how}"
    own = [each for parameter in ctx.command.params for each in parameter.opts if each.startswith("--")]
    similar = get_close_matches(name, own, n=2, cutoff=0.7)
    others = [command for command, options in _commands(ctx.find_root().command) if name in options]
    hints = [f"did you mean {' or '.join(similar)}?"] if similar else []
    if others:
        names = [f"`zoo {other}`" for other in others[:MOST_COMMANDS]]
        hints.append(f"{first_of(names, MOST_COMMANDS)} {'has' if len(names) == 1 else 'have'} it")
    return "; ".join([message, *(hints or [f"`{ctx.command_path} --help` lists its options"])])


def _word_too_many(text: str, ctx: Any, words: Sequence[str]) -> str:
    spaced = next((path for path in _joined(words) if Path(path).exists()), None)
    if spaced is not None:
        return f"{ctx.command_path}: quote a path with spaces: {shlex.quote(spaced)}"
    takes = [parameter.metavar for parameter in ctx.command.params if parameter.param_type_name == "argument"]
    expected = f"takes one {takes[0]}" if takes else "takes options only"
    instead = f"; write `zoo init --data {shlex.quote(text)}`" if ctx.command.name == "init" else ""
    return f"{ctx.command_path} {expected}; {text!r} is too much{instead}"


def _joined(words: Sequence[str]) -> Iterator[str]:
    """Yield each path that a shell may have split at its spaces."""
    for first in range(len(words)):
        for last in range(first + 2, len(words) + 1):
            yield " ".join(words[first:last])


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield the name of each command with its options."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        elif name != HIDDEN:
            yield f"{prefix}{name}", {option for parameter in command.params for option in parameter.opts}
