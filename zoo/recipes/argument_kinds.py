"""Refuse arguments by which a call would run code, download by name, or read and write files that zoo did not verify.

Code of repositories is refused in every call. The other rules hold for calls of libraries: our own functions take a
`Source` where they read a file, and a user who trusts a package knows its arguments.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from zoo.fetch import build_limits
from zoo.fetch.foreign_settings import (
    LOADS_BY_NAME,
    can_be_name,
    is_flash_attention,
    looks_like_a_file,
    names_code,
    reads_files,
    walk,
)
from zoo.trusted_code import FOREIGN_CODE_KEYS

NOT_FILES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token", "bos_token", "eos_token", "image_token")


def foreign_code(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the argument and the reason for every key, at any depth, that runs code of a repository."""
    for name, key, value, _ in _entries(arguments):
        if key in FOREIGN_CODE_KEYS:
            yield name, f"{key} runs code from outside a recipe and cannot be set in one"
        elif names_code(key, value):
            hint = "; write sdpa or eager" if is_flash_attention(key, value) else ""
            yield name, f"{key}: {value} names code from outside a recipe and cannot be set in one{hint}"


def unverified_files(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the argument and the reason for every key or text, at any depth, by which a library reads other files."""
    for name, key, value, is_free in _entries(arguments):
        if value is None or value is False or is_free or key in FOREIGN_CODE_KEYS:
            continue
        if key in LOADS_BY_NAME and can_be_name(value):
            yield name, f"{key} loads by name what nobody verifies; use null, and `pretrained` for published weights"
        elif reads_files(key) and can_be_name(value) and key not in NOT_FILES:
            yield name, f"{key} reads or writes files, which a recipe may not"
        elif isinstance(value, str) and looks_like_a_file(value) and key not in NOT_FILES:
            yield name, f"{key}: {value!r} looks like a file or a repository, which this call may not read"


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
