"""The result of fetching a source."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from zoo.fetch.repository_files import CONFIG, INDEX
from zoo.fetch.source_types import HubRepo, ParsedSource, parse_or_none


@dataclass(frozen=True)
class Fetched:
    """Verified local files of a source."""

    source: str
    path: Path
    """The file, or the folder of a repository's snapshot."""
    sha256: str
    """The SHA-256 of the file; for a repository that of its weights, or a digest over the digests of its files."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of each file that was read, by the source's text, or `SOURCE/NAME` for a repository."""
    weights: str | None = None
    """The name of the weights in the folder, or of the index of their parts; None if `path` is a single file."""
    revision: str | None = None
    """The commit of a repository."""
    locked: bool = False
    """Whether the lock pins the source; otherwise it was pinned at first use."""
    state_dict: str | None = None
    """The key of the state dict to read in a checkpoint; None for `model` or `state_dict`."""

    def renamed(self, source: ParsedSource) -> "Fetched":
        """Return the same files under another source."""
        is_one_file = list(self.files) == [self.source]
        digests = zip(self.names, self.files.values(), strict=True)
        files = {str(source) if is_one_file else f"{source}/{name}": digest for name, digest in digests}
        return replace(self, source=str(source), files=files)

    @property
    def weights_path(self) -> Path:
        """The file of the weights, or the index of its parts."""
        return self.path if self.weights is None else self.path / self.weights

    @property
    def has_configuration(self) -> bool:
        """Whether the weights came with the `config.json` of their model."""
        return self.weights is not None and (self.path / CONFIG).is_file()

    @property
    def paths(self) -> list[Path]:
        """The files that were read, and a local folder itself: a new file in it may be read the next time."""
        files = [self.path / name for name in self.names] if self.path.is_dir() else []
        return files if self.revision is not None else [*files, self.path]

    @property
    def names(self) -> list[str]:
        """The names of the files within a repository."""
        return [name.removeprefix(f"{record_name(self.source)}/") for name in self.files]


def digest_of(digests: Mapping[str, str], weights: str | None) -> str:
    """Return one SHA-256 for several files: that of the weights if they are one file, else one over all digests.

    Args:
        digests: The SHA-256 of each file, by a text that ends with its name.
        weights: The name of the weights, or of the index of their parts; None if there are no weights.
    """
    if weights not in (None, INDEX):
        return next(digest for name, digest in digests.items() if name.endswith(weights))
    return hashlib.sha256(str(sorted(digests.items())).encode()).hexdigest()


def record_name(source: str) -> str:
    """Return the text of a source without its revision: records identify files by their bytes, not by their commit."""
    repo = parse_or_none(source)
    return str(repo.without_revision) if isinstance(repo, HubRepo) else source
