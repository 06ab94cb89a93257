"""A folder with everything that runs read, for machines without internet. It can be moved, copied and read-only.

    cache.json            the format
    trusted.json          the pin of every source: its commit, the names of its files, and their SHA-256
    files/AB/ABCDEF...    each file once, under its SHA-256
    hub/REPOSITORY/       the Hub's answers about repositories, see `zoo.fetch.cache_answers`
    suites/NAME/          generated suites
    entries/NAME.json     what each entry reads that was fetched

No file holds a path outside the folder. Files appear by renaming, so that several processes may fill one folder.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import IntegrityError, NotCachedError, SourceError
from zoo.fetch.lock import Lock, Pin, Pins

FORMAT = "zoo-cache-1"
NAMES = ("cache.json", "trusted.json", "trusted.json.lock", "files", "hub", "suites", "entries")
"""The names of everything in a cache."""
ANY_HUB = "cache"
"""The key of the pins in `trusted.json`: in a cache they hold whatever the address of the Hub is."""


@dataclass(frozen=True)
class CacheFolder:
    """A folder that `zoo fetch --to` has filled."""

    root: Path
    selection: str = "ENTRY"
    """The arguments of `zoo fetch` that add what is missing, for messages."""

    @property
    def is_filled(self) -> bool:
        """Whether everything that is fetched is added to the cache, instead of being read from it."""
        return False

    @property
    def trusted(self) -> Path:
        """The file of the pins."""
        return self.root / "trusted.json"

    @property
    def format_file(self) -> Path:
        """The file that makes a folder a cache."""
        return self.root / "cache.json"

    @property
    def suites(self) -> Path:
        """The folder of generated suites."""
        return self.root / "suites"

    @property
    def answers(self) -> Path:
        """The folder of the Hub's answers about repositories."""
        return self.root / "hub"

    @property
    def entries(self) -> Path:
        """The folder of the lists of what entries read."""
        return self.root / "entries"

    @property
    def files(self) -> Path:
        """The folder of the files."""
        return self.root / "files"

    @property
    def command(self) -> str:
        """The command that adds what is missing, on a machine that sees this folder."""
        return f"zoo fetch {self.selection} --to {shlex.quote(str(self.root))}"

    @property
    def how_to_add(self) -> str:
        """The advice to add what is missing on a machine with internet, where this folder may have another path."""
        return (
            f"on a machine with internet, run `zoo fetch {self.selection} --to DIR`, where DIR is this folder or a copy"
            f" of it, then copy DIR to {self.root}"
        )

    def file(self, digest: str) -> Path:
        """Return where the file with this SHA-256 is, or would be."""
        return self.files / digest[:2] / digest

    def pins(self) -> Pins:
        """Return the pins of everything in the cache. Raise ZooError if this is not a cache, or if it is damaged."""
        self.check_format()
        return Lock(self.trusted, {}, self.trusted).trusted(ANY_HUB)

    def check_format(self) -> None:
        """Raise SourceError for a folder that is not a cache, and IntegrityError for one of another format."""
        try:
            found = json.loads(self.format_file.read_text(encoding="utf-8"))["format"]
        except (FileNotFoundError, NotADirectoryError):
            problem = f"{self.root} is not a cache of zoo" if self.root.exists() else f"{self.root}: no such folder"
            raise SourceError(f"{problem}; `{self.command}` makes a cache there") from None
        except OSError as error:
            raise SourceError(f"{self.format_file}: cannot be read: {error.strerror or error}") from None
        except (ValueError, TypeError, KeyError):
            raise IntegrityError(f"{self.format_file} is damaged; repair it with `{self.command}`") from None
        if found != FORMAT:
            raise IntegrityError(f"{self.format_file}: the format is {found!r}; this version of zoo reads {FORMAT}")

    def keep(self, source: str, seen: Pin, files: Mapping[str, Path]) -> None:
        """Add a source that was fetched; does nothing in a cache that is only read. See `CacheWriter.keep`."""

    def missing(self, what: str, advice: str = "") -> NotCachedError:
        """Return the error for something that is not in the cache.

        Args:
            what: What is missing.
            advice: What to do; by default to fetch it.
        """
        where = f"the cache {self.root}, which ZOO_CACHE or --cache names"
        return NotCachedError(f"{what} is not in {where}; {advice or self.how_to_add}")
