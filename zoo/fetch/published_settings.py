"""Check the settings that are published beside weights, and give transformers a folder with nothing else.

Settings such as config.json are verified bytes, but they may name code, other repositories and files, which are not.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.fetch.build_limits import too_many
from zoo.fetch.foreign_settings import broken_rule, is_flash_attention, walk
from zoo.fetch.repository_files import CONFIG, INDEX
from zoo.files import link_or_copy

LARGE = ("added_tokens.json", "tokenizer.json", "vocab.json", INDEX)
"""JSON files that hold no settings."""
ORIGINS = (
    "_name_or_path", "base_model", "base_model_name_or_path", "dataset", "dataset_name", "merges_file",
    "model_name_or_path", "name_or_path", "pretrained_model_name_or_path", "special_tokens_map_file", "tokenizer_file",
    "vocab_file",
)  # fmt: skip
"""Settings that say what a model was made of, and where the files were on the author's machine. They are left out."""
TEXTS = ("content", "chat_template", "template", "token", "tokens")
"""Last words of the keys of tokens and templates, which may look like anything."""
CODE, TOKENIZER = "auto_map", "tokenizer_config.json"
MAX_BYTES = 32 * 1024 * 1024


@contextmanager
def verified_view(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Yield a folder for transformers that has these files of a published folder and no others.

    Args:
        folder: The published folder.
        names: The names of the verified files in it.

    Raises:
        IntegrityError: Settings name code, a repository or a file; or an index names a file outside of the folder.
    """
    with tempfile.TemporaryDirectory(prefix="zoo-") as temporary:
        view = Path(temporary)
        for name in names:
            if name.endswith(".json") and name not in LARGE:
                (view / name).write_text(json.dumps(read_settings(folder / name)), encoding="utf-8")
            else:
                link_or_copy((folder / name).resolve(), view / name)
        yield view


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a JSON file without those that only say where the files came from.

    `auto_map` at the top level is left out too, if transformers has a class of its own for the model or tokenizer.

    Raises:
        IntegrityError: The file is not JSON, or names code, a repository or a file.
    """
    settings = read_json(path)
    if is_code_ignored(path, settings):
        del settings[CODE]
    cleaned: dict[str, Any] = _without_origins(settings)
    for key, value, is_free in walk("", cleaned):
        if reason := _refusal(key, value, is_free=is_free):
            raise IntegrityError(f"{path}: {key}: {reason}")
    return cleaned


def code_note(folder: Path, names: Iterable[str]) -> str | None:
    """Return that code of the repository is not run, or None if the files of a published folder name no code."""
    ignored = [name for name in (CONFIG, TOKENIZER) if name in names and is_code_ignored(folder / name)]
    if not ignored:
        return None
    names_code = f"{' and '.join(ignored)} {'names' if len(ignored) == 1 else 'name'} code of the repository"
    return f"{names_code} for this architecture; zoo uses transformers' own"


def is_code_ignored(path: Path, settings: Mapping[str, Any] | None = None) -> bool:
    """Return whether settings name code at their top level, for a class that transformers has itself.

    Args:
        path: The file of the settings.
        settings: Its content, if it was read already.
    """
    settings = read_json(path) if settings is None else settings
    if settings.get(CODE) is None:
        return False
    if path.name == TOKENIZER and (name := settings.get("tokenizer_class")):
        return str(name).endswith(("Tokenizer", "TokenizerFast")) and hasattr(import_module("transformers"), str(name))
    config = path.with_name(CONFIG)
    described = settings if path.name != TOKENIZER else read_json(config) if config.is_file() else {}
    return str(described.get("model_type")) in import_module("transformers").CONFIG_MAPPING


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Raises IntegrityError if it is no such file, or a very large one."""
    content = _parse_json(path)
    if not isinstance(content, dict):
        raise IntegrityError(f"{path}: not a JSON object")
    return content


def read_json_list(path: Path) -> list[Any]:
    """Return the list in a JSON file. Raises IntegrityError if it is no such file, or a very large one."""
    content = _parse_json(path)
    if not isinstance(content, list):
        raise IntegrityError(f"{path}: not a JSON list")
    return content


def _parse_json(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise IntegrityError(f"{path}: settings have at most {MAX_BYTES:,} bytes")
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: not JSON: {error}") from None


def _refusal(key: str, value: Any, *, is_free: bool) -> str | None:
    if value is None or value is False:
        return None
    if problem := too_many(key, value):
        return problem
    match broken_rule(key, value, is_text=is_free or key.endswith(TEXTS)):
        case None:
            return None
        case "runs code":
            return "names code of a repository, which zoo never runs"
        case "names code":
            return f"{value!r} names code of a repository, which zoo never runs"
        case "loads by name":
            return f"{value!r} is loaded by name, so nobody could verify it"
    return f"{value!r} looks like a file or a repository, which zoo does not read"


def _without_origins(value: Any) -> Any:
    if isinstance(value, dict):
        items = {key: item for key, item in value.items() if key not in ORIGINS and not is_flash_attention(key, item)}
        return {key: _without_origins(item) for key, item in items.items()}
    return [_without_origins(item) for item in value] if isinstance(value, list) else value
