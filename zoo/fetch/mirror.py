"""A folder that holds files somebody else has downloaded: what is in it is told by content, not by name."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from zoo.errors import SourceError
from zoo.fetch.checksum import sha256


@dataclass
class Mirror:
    """A local folder, with all below it; each file is hashed once, when its size may be that of one wanted."""

    root: Path
    digests: dict[Path, str] = field(default_factory=dict)

    def find(self, digest: str | None, size: int | None = None) -> Path | None:
        """The first file with that SHA-256; None where there is none, or no digest is known."""
        if digest is None:
            return None
        for path in self._sizes if size is None else (p for p, length in self._sizes.items() if length == size):
            if path not in self.digests:
                self.digests[path] = sha256(path)
            if self.digests[path] == digest:
                return path
        return None

    @cached_property
    def _sizes(self) -> dict[Path, int]:
        if not self.root.is_dir():
            raise SourceError(f"{self.root}: the mirror is no folder")
        return {path: path.stat().st_size for path in sorted(self.root.rglob("*")) if path.is_file()}
