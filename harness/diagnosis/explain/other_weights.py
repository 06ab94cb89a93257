"""Find other files of weights beside the published ones: in the same repository at the same commit, or folder."""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath

from zoo.errors import SourceError, UsageError
from zoo.fetch.checksum import sha256
from zoo.fetch.fetched import Fetched
from zoo.fetch.repository_files import CONFIG, ENDINGS, WEIGHTS, is_part
from zoo.fetch.source_types import HubRepo, LocalFile
from zoo.fetch.sources import Sources
from zoo.files import link_or_copy

MOST_FILES = 5
"""The most other files to try."""
NO_WEIGHTS = ("optimizer", "scheduler", "scaler", "rng_state", "training_args", "adapter_model")
"""Beginnings of the names of files that a training or an adapter leaves beside weights."""
SAFETENSORS = ".safetensors"
OtherFile = tuple[str, Callable[[], Fetched]]
"""The name of a file, and the function that fetches it."""


def other_weights(sources: Sources, fetched: Fetched, folder: Path) -> Iterator[OtherFile]:
    """Yield up to `MOST_FILES` other files of weights with other contents than the published ones.

    Args:
        sources: Fetches files.
        fetched: The published weights.
        folder: A folder for numbered views of these files, which have the names that a published model has.

    Raises:
        UsageError: The weights are a single file, with no others beside it.
        SourceError: The files cannot be listed.
    """
    source = sources.resolve(fetched.source)
    if isinstance(source, HubRepo):
        found = _on_the_hub(sources, replace(source, revision=fetched.revision))
    elif isinstance(source, LocalFile) and source.expanded.is_dir():
        found = _in_folder(source.expanded)
    else:
        raise UsageError(f"{fetched.source} is a single file, with no others beside it")
    for number, name in enumerate(islice(_distinct(fetched, found), MOST_FILES)):
        yield name, partial(_view, fetched, found, name, folder / f"weights-{number}")


@dataclass(frozen=True)
class _Files:
    """The files of a repository or a folder."""

    names: Collection[str]
    digest: Callable[[str], str | None]
    """Returns the SHA-256 of a file; None if it is unknown."""
    path: Callable[[str], Path]
    """Fetches a file."""


def _on_the_hub(sources: Sources, repo: HubRepo) -> _Files:
    if sources.hub.offline:
        raise SourceError("other files cannot be listed while HF_HUB_OFFLINE is set")
    listing = sources.hub.listing(repo, str(repo.revision))
    return _Files(listing, lambda name: listing[name].sha256, lambda name: sources.fetch(repo, name).path / name)


def _in_folder(folder: Path) -> _Files:
    paths = [path for pattern in ("*", "*/*") for path in folder.glob(pattern) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in paths]
    return _Files(names, lambda name: sha256(folder / name), folder.joinpath)


def _distinct(fetched: Fetched, found: _Files) -> Iterator[str]:
    """Yield the names of other files, those with common names first, and of the checkpoints the last ones.

    Checksums are computed one by one, because large files take long. An unreadable file fails when it is fetched.
    """
    seen = {fetched.sha256}
    names = sorted(filter(_is_weights, found.names), key=_numbers, reverse=True)
    for name in sorted(names, key=lambda name: (name.count("/"), name not in WEIGHTS)):
        digest = None
        if name != fetched.weights:
            with suppress(OSError, SourceError):
                digest = found.digest(name)
            if (digest or name) not in seen:
                seen.add(digest or name)
                yield name


def _is_weights(name: str) -> bool:
    path = PurePosixPath(name)
    is_named = name.lower().endswith(ENDINGS) and not path.name.startswith(NO_WEIGHTS) and "-of-" not in path.name
    return is_named and not is_part(path.name) and len(path.parts) <= 2


def _numbers(name: str) -> tuple[int, str]:
    """Return the key that sorts `checkpoint-900` before `checkpoint-1000`."""
    digits = "".join(filter(str.isdigit, PurePosixPath(name).parts[0]))
    return int(digits or 0), name


def _view(fetched: Fetched, found: _Files, name: str, view: Path) -> Fetched:
    """Return weights with the configuration beside them, or else that of the published weights, in a new folder."""
    view.mkdir()
    weights = WEIGHTS[0] if name.lower().endswith(SAFETENSORS) else WEIGHTS[1]
    path = found.path(name)
    link_or_copy(path.resolve(), view / weights)
    beside = (PurePosixPath(name).parent / CONFIG).as_posix()
    if fetched.weights is not None and (fetched.path / CONFIG).is_file():
        config = found.path(beside) if beside in found.names else fetched.path / CONFIG
        link_or_copy(config.resolve(), view / CONFIG)
    digest = sha256(path)
    return replace(fetched, path=view, weights=weights, sha256=digest, files={f"{fetched.source}/{name}": digest})
