"""The index of weights that are split over several files: which file has which tensor. It is not trusted."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from zoo.errors import IntegrityError
from zoo.fetch.published_settings import read_json
from zoo.fetch.repository_files import CONFIG, INDEX, PARTS, is_part


def weights_names(folder: Path, weights: str) -> list[str]:
    """Return the names of the files that make up published weights, with their configuration if there is one.

    Args:
        folder: The published folder.
        weights: The name of the weights, or of the index of their parts.

    Raises:
        IntegrityError: The index does not describe the parts; see `parts_of`.
    """
    settings = [CONFIG] if (folder / CONFIG).is_file() else []
    return [*settings, weights, *(parts_of(folder) if weights == INDEX else ())]


def tensor_files(folder: Path, weights: str) -> list[str]:
    """Return the names of the files that hold the tensors of published weights. The arguments are as above."""
    return parts_of(folder) if weights == INDEX else [weights]


def parts_of(folder: Path) -> list[str]:
    """Return the names of the parts that an index lists, sorted.

    Raises:
        IntegrityError: The index names a file that is not one of the parts beside it; or it differs from what the
            parts hold: a tensor is missing, is in two parts, or is in another part than the index says.
    """
    listed = read_json(folder / INDEX).get("weight_map")
    if not isinstance(listed, Mapping) or not listed:
        raise IntegrityError(f"{folder / INDEX}: weight_map is not a mapping from the names of tensors to files")
    for part in sorted({str(part) for part in listed.values()}):
        if not is_part(part) or not (folder / part).is_file():
            raise IntegrityError(f"{folder / INDEX}: weight_map names {part!r}, which is not a file {PARTS} beside it")
    parts = sorted(set(listed.values()))
    if problem := next(_contradictions(folder, listed, parts), None):
        raise IntegrityError(f"{folder / INDEX}: {problem}")
    return parts


def _contradictions(folder: Path, listed: Mapping[str, str], parts: list[str]) -> Iterator[str]:
    """Yield how the index differs from the parts."""
    found: dict[str, str] = {}
    for part in parts:
        for name in _tensors(folder / part):
            if name in found:
                yield f"the tensor {name!r} is in {found[name]} and in {part}; keep one"
            found[name] = part
    for name, part in listed.items():
        if name not in found:
            yield f"weight_map says that {name!r} is in {part}, but no part has it"
        elif found[name] != part:
            yield f"weight_map says that {name!r} is in {part}, but it is in {found[name]}"
    for name, part in found.items():
        if name not in listed:
            yield f"weight_map lacks {name!r}, which is in {part}"


def _tensors(path: Path) -> list[str]:
    """Return the names of the tensors in a file, of which only the header is read."""
    try:
        with safe_open(path, framework="numpy") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise IntegrityError(f"{path}: these weights cannot be read: {error}") from None
