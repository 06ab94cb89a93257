"""Refuse arguments by which a call would run code, download by name, or read and write files that zoo did not verify.

Code of repositories is refused in every call. The other rules hold for calls of libraries: our own functions take a
`Source` where they read a file, and a user who trusts a package knows its arguments.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.fetch import build_limits
from zoo.trusted_code import FOREIGN_CODE_KEYS

LOADS_BY_NAME = (
    "_name_or_path", "backbone", "checkpoint", "gguf_file", "hf_hub_id", "hub", "name_or_path", "pretrained",
    "pretrained_backbone", "pretrained_cfg", "pretrained_cfg_overlay", "repo_id", "torch_hub",
    "use_pretrained_backbone", "weights", "weights_backbone",
)  # fmt: skip
"""Keys by which libraries load weights or configurations that nobody verifies."""
READS_FILES = re.compile(
    r"(?:.*_)?(?:dir|directory|file|filename|files|folder|path|paths|url|urls|root|experiment_id|token|proxies|download)"
)
"""Keys of files and folders, and of the network."""
NOT_FILES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token", "bos_token", "eos_token", "image_token")
FREE_TEXT = ("id2label", "label2id")
"""Keys whose texts are names of classes, which may look like anything."""
LOOKS_LIKE_A_FILE = re.compile(
    r"""[/~\\].* | \.\.?(?:[/\\].*)? | .*[/\\]\.\.(?:[/\\].*)? | .*://.* | [A-Za-z]:[\\/].*   # paths and URLs
    | [\w-][\w.-]*/[\w.-]+.* | (?:hf[-_]hub|local-dir|file|hub|data|embedded):.*""",  # repositories and sources
    re.VERBOSE | re.DOTALL,
)


def foreign_code(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the argument and the reason for every key, at any depth, that runs code of a repository."""
    for name, key, value in _leaves(arguments):
        if key in FOREIGN_CODE_KEYS:
            yield name, f"{key} runs code from outside a recipe and cannot be set in one"
        elif isinstance(value, str) and "kernels-community" in value:
            yield name, f"{key}: {value} names code from outside a recipe and cannot be set in one"


def unverified_files(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the argument and the reason for every key or text, at any depth, by which a library reads other files."""
    for name, key, value in _leaves(arguments):
        if value is None or value is False or key in FOREIGN_CODE_KEYS:
            continue
        if key in LOADS_BY_NAME:
            yield name, f"{key} loads by name what nobody verifies; use null, and `pretrained` for published weights"
        elif READS_FILES.fullmatch(key) and key not in NOT_FILES:
            yield name, f"{key} reads or writes files, which a recipe may not"
        elif isinstance(value, str) and key not in FREE_TEXT and LOOKS_LIKE_A_FILE.fullmatch(value):
            yield name, f"{key}: {value!r} looks like a file or a repository, which this call may not read"


def too_many(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the argument and the reason for every number of layers, blocks or stages that no model has."""
    for name, key, value in _leaves(arguments):
        if problem := build_limits.too_many(key, value):
            yield name, f"{key}: {problem}"


def _leaves(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield the argument, the innermost key and the value of every entry of nested mappings and lists."""
    for name, value in arguments.items():
        for key, leaf in _nested(name, value):
            yield name, key, leaf


def _nested(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield key, None
        for inner, item in value.items():
            yield from _nested(key if key in FREE_TEXT else str(inner), item)
    elif isinstance(value, list | tuple):
        yield key, None
        for item in value:
            yield from _nested(key, item)
    else:
        yield key, value
