"""Say in one line what is wrong with the words of a command, and what to write instead."""

import os.path
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from zoo.errors import UsageError
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
READ_RECIPES = ("train", "reproduce", "plan")
"""The commands for which a key of a recipe is meant where an option has its name."""
MOST_COMMANDS = 3
MOST_JOINED = 8
"""A path that a shell has split has at most so many words."""


@contextmanager
def plain_usage_errors(ctx: Any, words: Sequence[str]) -> Iterator[None]:
    """Turn an error of typer about the words of a command into a UsageError of one line.

    Args:
        ctx: The context of the command.
        words: The arguments of the command.

    Raises:
        UsageError: With what is wrong, and what to write instead.
    """
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message") and getattr(error, "ctx", None) in (None, ctx):
            raise UsageError(_message(error, ctx, words)) from None
        raise


def _message(error: Any, ctx: Any, words: Sequence[str]) -> str:
    if hasattr(error, "possibilities"):  # NoSuchOption, which typer does not export
        return _unknown_option(str(error.option_name), ctx, words)
    if found := EXTRA.match(str(error.message)):
        return _word_too_many(found[1], ctx, words)
    error.message = without_library_words(str(error.message))
    message = " ".join(str(error.format_message()).split()).rstrip(".")
    message = f"{ctx.command_path}: {message[:1].lower()}{message[1:]}"
    if hasattr(error, "param_type"):  # MissingParameter
        example = EXAMPLE.search(ctx.command.help or "")
        return f"{message}. Example: {example[1]}" if example else message
    is_vague = _is_group(ctx.command) and not message.endswith("?")
    return f"{message}; `{ctx.command_path} --help` lists its commands" if is_vague else message


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
    if key is not None and ctx.command.name in READ_RECIPES:
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
    spaced = next(filter(os.path.exists, _joined(words)), None)  # False for a name that is too long, unlike Path.exists
    if spaced is not None:
        return f"{ctx.command_path}: quote a path with spaces: {shlex.quote(spaced)}"
    takes = [parameter.metavar for parameter in ctx.command.params if parameter.param_type_name == "argument"]
    expected = f"takes one {takes[0]}" if takes else "takes options only"
    is_data = ctx.command.name == "init" and text in words  # and not several words, which typer joins
    instead = f"; write `zoo init --data {shlex.quote(text)}`" if is_data else ""
    return f"{ctx.command_path} {expected}; {text!r} is too much{instead}"


def _joined(words: Sequence[str]) -> Iterator[str]:
    """Yield each path that a shell may have split at its spaces."""
    for first in range(len(words)):
        for last in range(first + 2, min(first + MOST_JOINED, len(words)) + 1):
            yield " ".join(words[first:last])


def _is_group(command: Any) -> bool:
    return hasattr(command, "commands")


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield the name of each command with its options."""
    for name, command in group.commands.items():
        if _is_group(command):
            yield from _commands(command, f"{prefix}{name} ")
        elif not command.hidden:
            yield f"{prefix}{name}", {option for parameter in command.params for option in parameter.opts}
