"""Refuse arguments by which a call would run code, download by name, or read and write files that zoo did not verify.

Code of repositories is refused in every call. The other rules hold for calls of libraries: our own functions take a
`Source` where they read a file, and a user who trusts a package knows its arguments.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.fetch import build_limits
from zoo.fetch.foreign_settings import Rule, broken_rule, is_flash_attention, walk
from zoo.models.attention import flash_attention_problem

FREE_TEXT = re.compile(
    r"(?!.*(?:access|api|auth|hf|hub)_token)(?:.*_tokens?|labels?|pos_label|class(?:es|_names)|(?:label|target)_names"
    r"|prompts?|prefix(?:es)?|suffix(?:es)?|(?:.*_)?template)"
)
"""Arguments whose texts are read by people or models, and opened by nobody: tokens, names of classes, prompts."""


def foreign_code(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the argument and the reason for every key, at any depth, that runs code of a repository."""
    for name, key, value, rule in _broken_rules(arguments):
        if rule == "runs code":
            yield name, f"{key} runs code from outside a recipe and cannot be set in one"
        elif is_flash_attention(key, value):
            if problem := flash_attention_problem(value):
                yield name, f"{key}: {problem}"
        elif rule == "names code":
            yield name, f"{key}: {value} names code from outside a recipe and cannot be set in one"


def unverified_files(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the argument and the reason for every key or text, at any depth, by which a library reads other files."""
    for name, key, value, rule in _broken_rules(arguments):
        if rule == "loads by name":
            yield name, f"{key} loads by name what nobody verifies; use null, and `pretrained` for published weights"
        elif rule == "reads files":
            yield name, f"{key} reads or writes files, which a recipe may not"
        elif rule == "looks like a file":
            yield name, f"{key}: {value!r} looks like a file or a repository, which this call may not read"
        elif rule == "is opened":
            yield name, f"{key}: {value!r} would be opened as a file; write the vocabulary as a mapping or list"


def too_many(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the argument and the reason for every number of layers, blocks, stages or classes that no model has."""
    for name, value in arguments.items():
        for key, leaf, _ in walk(name, value):
            if problem := build_limits.too_many(key, leaf):
                yield name, f"{key}: {problem}"


def _broken_rules(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Rule]]:
    """Yield the argument, the innermost key, the value and the rule of every entry that breaks one."""
    for name, value in arguments.items():
        for key, leaf, is_free in walk(name, value):
            is_text = is_free or (FREE_TEXT.fullmatch(key) is not None and not isinstance(leaf, Mapping))
            if rule := broken_rule(key, leaf, is_text=is_text, or_repository=True):
                yield name, key, leaf, rule
