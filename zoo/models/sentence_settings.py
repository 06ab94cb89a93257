"""The settings of sentence-transformers beside the weights of an encoder. Nothing here imports torch."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, MissingError
from zoo.fetch.published_settings import read_json, read_json_list
from zoo.fetch.repository_files import ENCODER_CONFIG, MODULES, POOLING_CONFIG, SENTENCE_CONFIG
from zoo.fetch.source_types import HubRepo
from zoo.fetch.sources import Sources

WANT = "sentence_encoder"
MODES = {
    "pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean", "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}  # fmt: skip
"""The ways of pooling that `1_Pooling/config.json` can switch on."""


def read_settings(source: HubRepo | str, sources: Sources) -> dict[str, Any]:
    """Return the settings of sentence-transformers by the names of their files; without those that are missing.

    Raises:
        IntegrityError: A file cannot be read.
    """
    try:
        folder = sources.fetch(source, WANT).path
    except MissingError:
        return {}
    files = {name: folder / name for name in (MODULES, POOLING_CONFIG, SENTENCE_CONFIG, ENCODER_CONFIG)}
    read = {MODULES: _read_modules}
    return {name: read.get(name, read_json)(path) for name, path in files.items() if path.is_file()}


def _read_modules(path: Path) -> list[tuple[str, str]]:
    """Return the type and the folder of every module of `modules.json`, in order."""
    modules = read_json_list(path)
    if not all(isinstance(module, Mapping) and isinstance(module.get("type"), str) for module in modules):
        raise IntegrityError(f"{path}: not a list of modules with a type")
    return [(module["type"], str(module.get("path", ""))) for module in modules]


def pooling_in(settings: Mapping[str, Any]) -> str | None:
    """Return the published way of pooling as recipes name it; None if it is another one, or several."""
    found = _pooling_modes(settings.get(POOLING_CONFIG, {}))
    return found[0] if len(found) == 1 and found[0] in MODES.values() else None


def normalizes(settings: Mapping[str, Any]) -> bool:
    """Return whether the published modules scale embeddings to length 1."""
    return any(kind.rpartition(".")[2] == "Normalize" for kind, _ in settings.get(MODULES, ()))


def max_seq_length_in(settings: Mapping[str, Any]) -> int | None:
    """Return the published number of tokens that texts are cut to; None if there is none."""
    length = settings.get(SENTENCE_CONFIG, {}).get("max_seq_length")
    return length if isinstance(length, int) and length > 0 else None


def contradictions(settings: Mapping[str, Any], pooling: str, normalize: bool, hidden: int | None) -> Iterator[str]:
    """Yield how the published settings differ from what a recipe says, or from what zoo can compute.

    Args:
        settings: The settings, of `read_settings`.
        pooling: The way of pooling in the recipe.
        normalize: Whether the recipe normalizes embeddings.
        hidden: The number of features of the encoder; None if it is not known.
    """
    if (modules := settings.get(MODULES)) is not None:
        yield from _module_problems(modules, normalize)
    if (published := settings.get(POOLING_CONFIG)) is not None:
        yield from _pooling_problems(published, pooling, hidden)
    encoder = settings.get(ENCODER_CONFIG, {})
    if name := encoder.get("default_prompt_name"):
        yield f"{ENCODER_CONFIG} adds the prompt {name!r} to every text, which is not supported"
    if encoder.get("similarity_fn_name") not in (None, "cosine"):
        yield f"{ENCODER_CONFIG} compares texts by {encoder['similarity_fn_name']!r}, not by their cosine"
    if settings.get(SENTENCE_CONFIG, {}).get("do_lower_case"):
        yield f"{SENTENCE_CONFIG} converts texts to lower case before they are tokenized, which is not supported"


def _module_problems(modules: list[tuple[str, str]], normalize: bool) -> Iterator[str]:
    kinds = [kind.rpartition(".")[2] for kind, _ in modules]
    others = [kind for kind, _ in modules if not kind.startswith("sentence_transformers.")]
    if others or kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        named = others[0] if others else ", ".join(kinds)
        yield f"{MODULES} has {named}; only Transformer, Pooling and Normalize of sentence-transformers are supported"
        return
    if modules[0][1] or modules[1][1] != POOLING_CONFIG.partition("/")[0]:
        yield f"{MODULES} has its modules in the folders {modules[0][1]!r} and {modules[1][1]!r}, which are not read"
    if (is_normalized := "Normalize" in kinds) != normalize:
        found = "are normalized" if is_normalized else "are not normalized"
        yield f"{MODULES} says that embeddings {found}: write normalize: {str(is_normalized).lower()}"


def _pooling_problems(settings: Mapping[str, Any], pooling: str, hidden: int | None) -> Iterator[str]:
    found = _pooling_modes(settings)
    if found != [pooling]:
        listed = " and ".join(found) or "nothing"
        advice = f"write pooling: {found[0]}" if len(found) == 1 and found[0] in MODES.values() else "not supported"
        yield f"{POOLING_CONFIG} pools by {listed}, but the recipe says {pooling}; {advice}"
    width = settings.get("word_embedding_dimension", settings.get("embedding_dimension", hidden))
    if hidden is not None and width != hidden:
        yield f"{POOLING_CONFIG} expects {width!r} features, but the encoder has {hidden}"


def _pooling_modes(settings: Mapping[str, Any]) -> list[str]:
    active = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    modes = [str(settings["pooling_mode"])] if isinstance(settings.get("pooling_mode"), str) else active
    return [MODES.get(mode, mode) for mode in modes]
