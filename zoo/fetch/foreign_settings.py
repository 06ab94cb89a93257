"""Settings by which a library runs code, loads by name, or reads files: in a recipe's arguments and published settings.

Both are searched at any depth, because libraries pass nested settings on.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

LOADS_BY_NAME = (
    "_name_or_path", "backbone", "checkpoint", "gguf_file", "hf_hub_id", "hub", "name_or_path", "pretrained",
    "pretrained_backbone", "pretrained_cfg", "pretrained_cfg_overlay", "repo_id", "torch_hub",
    "use_pretrained_backbone", "weights", "weights_backbone",
)  # fmt: skip
"""Keys by which libraries load weights or configurations that nobody verifies."""
FREE_TEXT = ("id2label", "label2id")
"""Keys whose texts are names of classes, which may look like anything."""
_READS_FILES = re.compile(
    r"(?:.*_)?(?:dir|directory|file|filename|files|folder|path|paths|url|urls|root|experiment_id|token|proxies|download)"
)
"""Keys of files and folders, and of the network."""
_IMPLEMENTATION = re.compile(r"_?(?:attn|attention|experts)(?:_.*)?_implementation(?:_.*)?")
"""Keys by which transformers chooses code; a name that it does not know is that of a repository."""
_IMPLEMENTATIONS = ("eager", "sdpa", "flex_attention", "batched_mm", "grouped_mm")
_LOOKS_LIKE_A_FILE = re.compile(
    r"""[/~\\].* | \.\.?(?:[/\\].*)? | .*[/\\]\.\.(?:[/\\].*)? | .*://.* | [a-z]:[\\/].*   # paths and URLs
    | (?:hf[-_]hub|local-dir|file|hub|data|embedded):.*""",  # repositories and sources
    re.VERBOSE | re.DOTALL,
)
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w.-]+.*", re.DOTALL)
_SEPARATORS = re.compile(r"[\s=,;|]+")
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
        for item in value:
            yield from walk(key, item, is_free=is_free)


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


def looks_like_a_file(text: str, *, or_repository: bool = True) -> bool:
    """Return whether a text, or a word in it, looks like a file, a URL or a repository.

    Libraries ignore case and blanks in the scheme of an address.

    Args:
        text: The text.
        or_repository: Whether `a/b` counts. In published settings it is often an ordinary text, such as `glue/sst2`.
    """
    words = ("".join(text.split()), *_SEPARATORS.split(text))
    patterns = (_LOOKS_LIKE_A_FILE, _REPOSITORY) if or_repository else (_LOOKS_LIKE_A_FILE,)
    return any(pattern.fullmatch(word.casefold()) for word in words for pattern in patterns)
