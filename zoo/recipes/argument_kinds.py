"""Refuse arguments by which a call would run code, download by name, or read and write files that zoo did not verify.

Code of repositories is refused in every call. The other rules hold for calls of libraries: our own functions take a
`Source` where they read a file, and a user who trusts a package knows its arguments.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.fetch import build_limits
from zoo.fetch.foreign_settings import (
    LOADS_BY_NAME,
    can_be_name,
    is_flash_attention,
    is_opened,
    looks_like_a_file,
    names_code,
    names_repository,
    reads_files,
    walk,
)
from zoo.models.attention import flash_attention_problem
from zoo.trusted_code import FOREIGN_CODE_KEYS

FREE_TEXT = re.compile(
    r"(?!.*(?:access|api|auth|hf|hub)_token)(?:.*_tokens?|labels?|pos_label|class(?:es|_names)|(?:label|target)_names"
    r"|prompts?|prefix(?:es)?|suffix(?:es)?|(?:.*_)?template)"
)
"""Arguments whose texts are read by people or models, and opened by nobody: tokens, names of classes, prompts."""


def foreign_code(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the argument and the reason for every key, at any depth, that runs code of a repository."""
    for name, key, value, _ in _entries(arguments):
        if key in FOREIGN_CODE_KEYS:
            yield name, f"{key} runs code from outside a recipe and cannot be set in one"
        elif is_flash_attention(key, value):
            if problem := flash_attention_problem(value):
                yield name, f"{key}: {problem}"
        elif names_code(key, value):
            yield name, f"{key}: {value} names code from outside a recipe and cannot be set in one"


def unverified_files(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the argument and the reason for every key or text, at any depth, by which a library reads other files."""
    for name, key, value, is_free in _entries(arguments):
        is_text = is_free or (FREE_TEXT.fullmatch(key) and not isinstance(value, Mapping))
        if value is None or value is False or is_text or key in FOREIGN_CODE_KEYS:
            continue
        if key in LOADS_BY_NAME and can_be_name(value):
            yield name, f"{key} loads by name what nobody verifies; use null, and `pretrained` for published weights"
        elif reads_files(key) and can_be_name(value):
            yield name, f"{key} reads or writes files, which a recipe may not"
        elif isinstance(value, str) and (looks_like_a_file(value) or names_repository(key, value)):
            yield name, f"{key}: {value!r} looks like a file or a repository, which this call may not read"
        elif is_opened(key, value):
            yield name, f"{key}: {value!r} would be opened as a file; write the vocabulary as a mapping or list"


def too_many(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the argument and the reason for every number of layers, blocks, stages or classes that no model has."""
    for name, key, value, _ in _entries(arguments):
        if problem := build_limits.too_many(key, value):
            yield name, f"{key}: {problem}"


def _entries(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, bool]]:
    """Yield the argument, the innermost key and the value of every entry, and whether it is free text."""
    for name, value in arguments.items():
        for key, leaf, is_free in walk(name, value):
            yield name, key, leaf, is_free
