"""The result of fetching a source."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

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
    """The name of the weights in the folder."""
    revision: str | None = None
    """The commit of a repository."""
    locked: bool = False
    """Whether the lock pins the source; otherwise it was pinned at first use."""

    def renamed(self, source: ParsedSource) -> "Fetched":
        """Return the same files under another source."""
        files = {f"{source}/{name}": digest for name, digest in zip(self.names, self.files.values(), strict=True)}
        return replace(self, source=str(source), files=files)

    @property
    def paths(self) -> list[Path]:
        """The files that were read; for a local folder, the folder."""
        return [self.path / name for name in self.names] if self.path.is_dir() and self.files else [self.path]

    @property
    def names(self) -> list[str]:
        """The names of the files within a repository."""
        return [name.removeprefix(f"{record_name(self.source)}/") for name in self.files]


def record_name(source: str) -> str:
    """Return the text of a source without its revision: records identify files by their bytes, not by their commit."""
    repo = parse_or_none(source)
    return str(repo.without_revision) if isinstance(repo, HubRepo) else source
