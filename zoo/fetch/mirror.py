"""A local folder of files that somebody has downloaded before; files are found by content, not by name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from zoo.errors import MissingError, SourceError
from zoo.fetch.checksum import sha256


@contextmanager
def explain_unpinned(mirror: "Mirror | None", source: str, digest: str | None) -> Iterator[None]:
    """Say in the error of a download that a mirror cannot serve a file whose SHA-256 is unknown."""
    try:
        yield
    except MissingError:
        raise
    except SourceError as error:
        if mirror is None or not mirror.needs_pins or digest is not None:
            raise
        command = f"zoo lock --add-digest '{source}=SHA256'"
        raise SourceError(f"{error}; {mirror.root} cannot serve it before its SHA-256 is pinned: {command}") from None


@dataclass
class Mirror:
    """A folder, including its subfolders, that is searched by SHA-256 before anything is downloaded.

    Each file is hashed at most once, and only if its size can be that of a wanted file.
    """

    root: Path
    digests: dict[Path, str] = field(default_factory=dict)
    """The SHA-256 of the files that were hashed so far."""

    @property
    def needs_pins(self) -> bool:
        """Whether an unknown SHA-256 may be the reason why it does not serve a file."""
        return True

    @property
    def advice(self) -> str:
        """What to do about a file in it with wrong bytes, for the end of a message."""
        return ""

    def find(self, digest: str | None, size: int | None = None) -> Path | None:
        """Return the first file with this SHA-256, or None if there is none or `digest` is None.

        Args:
            digest: The SHA-256 in hexadecimal.
            size: The size in bytes if it is known; files of other sizes are not hashed.

        Raises:
            SourceError: The mirror is not a folder, or one of its files cannot be read.
        """
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
            raise SourceError(f"{self.root}: the mirror is not a folder; --mirror takes a folder")
        return {path: path.stat().st_size for path in sorted(self.root.rglob("*")) if path.is_file()}
