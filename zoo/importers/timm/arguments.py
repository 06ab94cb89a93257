"""Find the options of a training by timm: in a file, or in a repository of the Hub, beside its `config.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.errors import MissingError, NoFileError, UsageError
from zoo.fetch.repository_files import CONFIG
from zoo.fetch.source_types import HF, HUB, HUB_NAME, HubRepo
from zoo.fetch.sources import Sources
from zoo.fetch.timm_settings import read_timm_settings
from zoo.recipes.yaml_graph import read_text

NAMES = ("train_hparams.yaml", "args.yaml")
"""The names of the file in a repository, in order of preference."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The file with the options of a training, and what its repository says about the model."""

    text: str
    shown: str
    """The file, for positions and messages."""
    repository: HubRepo | None = None
    """The repository at its commit."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The `config.json` of the repository; empty for a file of this machine."""


def find_arguments(target: str, sources: Sources) -> Arguments:
    """Return the options that a user names.

    Args:
        target: A YAML file, or `OWNER/NAME[@REVISION]` or `hf://OWNER/NAME` of a model.
        sources: Fetches the files of a repository.

    Raises:
        UsageError: The target is neither.
        RecipeError: The file is no text.
        SourceError: There is no such file, or the repository cannot be read or has none.
    """
    path = Path(target)
    if path.is_file():
        return Arguments(text=read_text(path), shown=target)
    if not target.startswith(HF) and HUB_NAME.fullmatch(target) is None:
        if path.suffix in (".yaml", ".yml"):
            raise NoFileError(target, "no such file")
        raise UsageError(f"{target}: write a file such as args.yaml, or OWNER/NAME of a model on the Hub")
    return _of_repository(HubRepo.parse(f"{HUB}{target.removeprefix(HF)}"), sources)


def _of_repository(repository: HubRepo, sources: Sources) -> Arguments:
    for name in NAMES:
        try:
            fetched = sources.fetch(repository, name)
        except MissingError:
            continue
        pinned = replace(repository, revision=fetched.revision)
        shown = f"{repository.name}@{(fetched.revision or '')[:7]}/{name}"
        return Arguments(
            text=read_text(fetched.path / name), shown=shown, repository=pinned, settings=_settings(pinned, sources)
        )
    raise MissingError(f"{repository.name} has no {' and no '.join(NAMES)}, the files in which timm's options are kept")


def _settings(repository: HubRepo, sources: Sources) -> Mapping[str, Any]:
    """Return the settings of timm in a repository; empty if it has none."""
    try:
        return read_timm_settings(sources.fetch(repository, CONFIG).path) or {}
    except MissingError:
        return {}
