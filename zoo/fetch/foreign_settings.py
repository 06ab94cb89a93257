"""Settings by which a library runs code, loads by name, or reads files: in a recipe's arguments and published settings.

Both are searched at any depth, because libraries pass nested settings on.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from zoo.trusted_code import FOREIGN_CODE_KEYS

Rule = Literal["runs code", "names code", "loads by name", "reads files", "looks like a file", "is opened"]
"""The rules that a setting can break."""
LOADS_BY_NAME = (
    "_name_or_path", "backbone", "checkpoint", "gguf_file", "hf_hub_id", "hub", "name_or_path", "pretrained",
    "pretrained_backbone", "pretrained_cfg", "pretrained_cfg_overlay", "repo_id", "torch_hub",
    "use_pretrained_backbone", "weights", "weights_backbone",
)  # fmt: skip
"""Keys by which libraries load weights or configurations that nobody verifies."""
FREE_TEXT = ("id2label", "label2id")
"""Keys whose texts are names of classes, which may look like anything."""
_READS_FILES = re.compile(
    r"(?:.*_)?(?:dir|directory|file|filename|files|folder|path|paths|url|urls|root|experiment_id|token|proxies|download|spm)"
)
"""Keys of files and folders, and of the network."""
_IMPLEMENTATION = re.compile(r"_?(?:attn|attention|experts)(?:_.*)?_implementation(?:_.*)?")
"""Keys by which transformers chooses code; a name that it does not know is that of a repository."""
_IMPLEMENTATIONS = ("eager", "sdpa", "flex_attention", "batched_mm", "grouped_mm")
_OPENED_TEXT = re.compile(r"(?:.*_)?(?:vocab|merges)")
"""Keys of tokenizers whose value is the content or, as a text, the file that has it."""
_LOOKS_LIKE_A_FILE = re.compile(
    r"""/(?!/*$).* | ~[\w.-]*/.* | \\\\.* | \.\.?[/\\].* | .*[/\\]\.\.(?:[/\\].*)? | .*://.* | [a-z]:[\\/].*
    | (?:hf[-_]hub|local-dir|file|hub|data|embedded):\S.*""",
    re.VERBOSE | re.DOTALL,
)
"""Matches paths, URLs and sources, in lower case."""
_FOLDER = re.compile(r"/+|~[\w.-]*|\.\.?")
"""Matches folders without a name of their own. In the middle of a text these are punctuation."""
_NAMES = re.compile(
    r"(?:.*_)?(?:adapter|architecture|backend|checkpoint|config|decoder|dict?|encoder|generator|hub|id|kernel|merges|model"
    r"|name|option|processor|repo|repository|revision|source|tokenizer|variant|vocab|weights)s?(?:_.*)?"
)
"""Keys whose text may name a model, a repository, or options of a program."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+.*", re.DOTALL)
_SEPARATORS = re.compile(r"[\s=,;|]+")
_IGNORED_IN_URLS = str.maketrans("", "", "\t\r\n")
_CONTAINERS = (Mapping, list, tuple)


def walk(key: str, value: Any, *, is_free: bool = False) -> Iterator[tuple[str, Any, bool]]:
    """Yield a setting and all settings in it, at any depth: key, value, and whether the value is free text.

    Items of a list have the key of the list.

    Args:
        key: The key of the setting.
        value: Its value.
        is_free: Whether the value, if it holds no others, is free text.
    """
    yield key, value, (is_free or key in FREE_TEXT) and not isinstance(value, _CONTAINERS)
    if isinstance(value, Mapping):
        for inner, item in value.items():
            yield from walk(str(inner), item, is_free=key in FREE_TEXT)
    elif isinstance(value, list | tuple):
        is_content = _OPENED_TEXT.fullmatch(key) is not None  # a list is the vocabulary itself
        for item in value:
            yield from walk(key, item, is_free=is_free or is_content)


def broken_rule(key: str, value: Any, *, is_text: bool, or_repository: bool = False) -> Rule | None:
    """Return the rule that a setting breaks, or None.

    Args:
        key: The key of the setting.
        value: Its value.
        is_text: Whether the value is a text that may look like anything, such as the name of a class or a token.
        or_repository: Whether a name of a repository, such as `owner/model`, is taken for a file too.
    """
    if key in FOREIGN_CODE_KEYS:
        return "runs code"
    if names_code(key, value):
        return "names code"
    if is_text:
        return None
    if key in LOADS_BY_NAME and can_be_name(value):
        return "loads by name"
    if reads_files(key) and can_be_name(value):
        return "reads files"
    if not isinstance(value, str):
        return None
    if looks_like_a_file(value) or (or_repository and names_repository(key, value)):
        return "looks like a file"
    return "is opened" if is_opened(key, value) else None


def names_code(key: str, value: Any) -> bool:
    """Return whether a setting names code of a repository instead of an implementation in transformers."""
    if _IMPLEMENTATION.fullmatch(key):
        leaves = [leaf for _, leaf, _ in walk(key, value) if not isinstance(leaf, _CONTAINERS)]
        return any(isinstance(leaf, str) and leaf not in _IMPLEMENTATIONS for leaf in leaves)
    return isinstance(value, str) and "kernels-community" in value.casefold()


def reads_files(key: str) -> bool:
    """Return whether a setting has the name of a file, a folder or an address."""
    return _READS_FILES.fullmatch(key) is not None


def can_be_name(value: Any) -> bool:
    """Return whether a value can name a file or weights, or ask for them; numbers such as `drop_path: 0.1` cannot."""
    return value is True or isinstance(value, str | Mapping)


def is_flash_attention(key: str, value: Any) -> bool:
    """Return whether a setting chooses flash attention, for which transformers may load code of a repository."""
    return isinstance(value, str) and value.startswith("flash_attention") and names_code(key, value)


def is_opened(key: str, value: Any) -> bool:
    """Return whether a setting is a text that a tokenizer opens as a file, whatever it looks like."""
    return isinstance(value, str) and _OPENED_TEXT.fullmatch(key) is not None


def looks_like_a_file(text: str) -> bool:
    """Return whether a text, or a word in it, looks like a file, a URL or a source.

    Libraries ignore case, and blanks in the scheme of an address. A slash between two words, as in `and/or` and
    `1/2/2024`, is no path.
    """
    whole = text.translate(_IGNORED_IN_URLS).strip().casefold()
    words = (whole, *_SEPARATORS.split(text.casefold()))
    return _FOLDER.fullmatch(whole) is not None or any(_LOOKS_LIKE_A_FILE.fullmatch(word) for word in words)


def names_repository(key: str, text: str) -> bool:
    """Return whether a setting may name a repository or a relative path, such as `owner/model`."""
    return _NAMES.fullmatch(key) is not None and any(map(_REPOSITORY.fullmatch, _SEPARATORS.split(text)))
