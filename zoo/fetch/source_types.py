"""Sources: the texts by which a recipe names files, and the typed values that `parse_source` turns them into.

    embedded:FILE                          a file of the starter suite, shipped with zoo and pinned in the lock
    file:PATH                              a local file or a local folder of data; not pinned, but hashed into the record.
                                           In a published recipe, a file or folder of its repository, at the same commit
    hub:[datasets/]OWNER/NAME[@REVISION]   a repository of the Hugging Face Hub, at the commit that the lock pins
    hub:.                                  the repository in which the recipe itself is published; for a recipe file of
                                           this machine, the folder of the recipe
    https://HOST/PATH                      a file on a server; the lock pins its SHA-256
    https://HOST/PATH.zip#MEMBER           a file in an archive on a server, by the end of its path; the lock pins the archive
    data:NAME                              a local folder, named by `--data NAME=DIR` or inside ZOO_DATA; its rows are hashed

`str()` of a parsed source gives its text back.
"""  # noqa: E501

import re
from dataclasses import dataclass, replace
from functools import cache
from os.path import exists
from pathlib import Path
from typing import Any, Literal, TypeGuard
from urllib.parse import SplitResult, urlsplit

from zoo.errors import UsageError

EMBEDDED, FILE, HUB, DATA = "embedded:", "file:", "hub:", "data:"
HUGGING_FACE = "https://huggingface.co"
"""The address of the Hub."""
HTTP = ("https://", "http://")
SCHEMES = (EMBEDDED, FILE, HUB, DATA, *HTTP)
LOOPBACK = ("127.0.0.1", "::1", "localhost")
UNPRINTABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")
"""Control characters, line ends, and halves of surrogate pairs."""
REPOSITORY = re.compile(r"(?=.{3,96}$)[A-Za-z0-9_][\w.-]*/[\w.-]*[A-Za-z0-9_]", re.ASCII)
"""OWNER/NAME, as the Hub admits it."""
HF = "hf://"
"""May stand before OWNER/NAME, so that no path of this machine is meant."""
HUB_NAME = re.compile(r"(?!.*\.ya?ml$)[\w.-]+/[\w.-]+(@[\w./-]+)?")
"""OWNER/NAME[@REVISION]: a model of the Hub, or a recipe that is published there."""
TWICE = re.compile(r"--|\.\.")
"""Signs that neither a repository nor a revision may contain."""
MAX_URL = 2000
"""Characters."""
COMMIT = re.compile(r"[0-9a-f]{40}")
"""A full commit of a repository."""


@dataclass(frozen=True)
class Embedded:
    """A file of the starter suite, which is shipped with zoo."""

    name: str

    def __str__(self) -> str:
        return f"{EMBEDDED}{self.name}"

    @property
    def short_name(self) -> str:
        """The file's name."""
        return self.name


@dataclass(frozen=True)
class LocalFile:
    """A file or folder on this machine; `path` is as the recipe writes it."""

    path: str

    def __str__(self) -> str:
        return f"{FILE}{self.path}"

    @property
    def short_name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def expanded(self) -> Path:
        """The path with `~` replaced by the user's home folder."""
        return Path(self.path).expanduser()

    @property
    def repository_path(self) -> str | None:
        """The path below the folder of a recipe, without `.`; None for a path that may lead out of it."""
        parts = [part for part in self.path.split("/") if part not in ("", ".")]
        is_outside = self.path.startswith(("/", "~")) or ".." in parts or not parts or re.search(r"[\\:]", self.path)
        return None if is_outside else "/".join(parts)

    def below(self, folder: Path) -> "LocalFile":
        """Return the file in a folder if the path is relative and exists there, else this one."""
        path = folder.absolute() / self.expanded
        is_there = not self.expanded.is_absolute() and exists(path)  # noqa: PTH110 - False for a name that is too long
        return LocalFile(str(path)) if is_there else self


@dataclass(frozen=True)
class HubRepo:
    """A repository of the Hub, at a branch, a tag or a commit; at `main` if the revision is None."""

    kind: Literal["model", "dataset"]
    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubRepo":
        """Parse `hub:[datasets/]OWNER/NAME[@REVISION]`; raises UsageError for any other text."""
        path, at, revision = text.removeprefix(HUB).partition("@")
        name = path.removeprefix("datasets/")
        is_name = REPOSITORY.fullmatch(name) is not None and not TWICE.search(name + revision)
        if not text.startswith(HUB) or not is_name or bool(at) != bool(revision):
            raise UsageError(f"{text!r} is not a repository; write {HUB}[datasets/]OWNER/NAME[@REVISION]")
        return cls("model" if name == path else "dataset", name, revision or None)

    def __str__(self) -> str:
        path = f"datasets/{self.name}" if self.kind == "dataset" else self.name
        return f"{HUB}{path}@{self.revision}" if self.revision else f"{HUB}{path}"

    @property
    def short_name(self) -> str:
        """The name without its owner."""
        return self.name.rpartition("/")[2]

    @property
    def commit(self) -> str | None:
        """The revision if it is a full commit."""
        return self.revision if self.revision and COMMIT.fullmatch(self.revision) else None

    @property
    def without_revision(self) -> "HubRepo":
        """The same repository at no particular revision."""
        return replace(self, revision=None)


@dataclass(frozen=True)
class RecipeRepo:
    """The repository in which the recipe itself is published, at the same commit."""

    def __str__(self) -> str:
        return f"{HUB}."

    @property
    def short_name(self) -> str:
        """A dot."""
        return "."


@dataclass(frozen=True)
class Url:
    """A file on a server."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def origin(self) -> str:
        """Scheme and host: files that were seen at first use are stored under it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def short_name(self) -> str:
        """The last part of the URL's path."""
        return urlsplit(self.url).path.rpartition("/")[2]


@dataclass(frozen=True)
class ArchiveMember:
    """A file in a zip archive on a server; `member` is its path in the archive, or the end of that path."""

    archive: Url
    member: str

    def __str__(self) -> str:
        return f"{self.archive}#{self.member}"

    @property
    def short_name(self) -> str:
        """The last part of the member's path."""
        return self.member.rpartition("/")[2]


@dataclass(frozen=True)
class UserFolder:
    """A data set that everybody must get for themselves: a local folder that the user names."""

    name: str

    def __str__(self) -> str:
        return f"{DATA}{self.name}"

    @property
    def short_name(self) -> str:
        """The name of the data set."""
        return self.name


ParsedSource = Embedded | LocalFile | HubRepo | RecipeRepo | Url | ArchiveMember | UserFolder
Remote = HubRepo | RecipeRepo | Url | ArchiveMember
"""Sources that are downloaded."""


def is_source(value: Any) -> TypeGuard[str]:
    """Return whether a value is a text that begins as a source does; the rest may still be malformed."""
    return isinstance(value, str) and value.startswith(SCHEMES)


@cache
def parse_source(text: str) -> ParsedSource:
    """Parse the text of a source.

    Raises:
        UsageError: The text has no known scheme, or what follows the scheme is malformed.
    """
    scheme = next((scheme for scheme in SCHEMES if text.startswith(scheme)), None)
    if UNPRINTABLE.search(text):
        raise UsageError(f"{text!r}: a source cannot contain control characters")
    if scheme in HTTP:
        return _parse_url(text)
    if scheme is None or text == scheme:
        known = " or ".join(f"{scheme}NAME" for scheme in (EMBEDDED, FILE, HUB, DATA))
        raise UsageError(f"{text!r} is not a source; write {known} or https://HOST/PATH")
    if scheme == HUB:
        return RecipeRepo() if text == str(RecipeRepo()) else HubRepo.parse(text)
    rest = text.removeprefix(scheme)
    return Embedded(rest) if scheme == EMBEDDED else LocalFile(rest) if scheme == FILE else UserFolder(rest)


def parsed(source: str | ParsedSource) -> ParsedSource:
    """Return a source as a typed value, whether it is given as text or parsed already. Raises UsageError."""
    return parse_source(source) if isinstance(source, str) else source


def parse_or_none(text: str | None) -> ParsedSource | None:
    """Parse a text where a malformed one is reported elsewhere; returns None for it, and for None."""
    try:
        return None if text is None else parse_source(text)
    except UsageError:
        return None


def pinned_source(source: ParsedSource) -> ParsedSource:
    """Return the source that is downloaded and that a lock pins: the archive for a file in an archive."""
    return source.archive if isinstance(source, ArchiveMember) else source


def _parse_url(text: str) -> Url | ArchiveMember:
    try:
        parts = urlsplit(text)
        _check_url(text, parts)
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}") from None
    address, separator, member = text.partition("#")
    return ArchiveMember(Url(address), member) if separator else Url(text)


def _check_url(text: str, parts: SplitResult) -> None:
    if "@" in parts.netloc:
        raise UsageError(f"https://...@{parts.netloc.rpartition('@')[2]}: write no user name or password in a URL")
    if re.search(r"[\s\\]", text.partition("#")[0]) or len(text) > MAX_URL:
        raise UsageError(f"{text[:80]!r}...: a URL has no spaces, no backslashes, and at most {MAX_URL:,} characters")
    if not parts.hostname or parts.port == 0 or not parts.path.strip("/"):
        raise UsageError(f"{text!r} names no file; write https://HOST/PATH")
    if "#" in text and not (parts.path.endswith(".zip") and parts.fragment):
        raise UsageError(f"{text!r}: only a file in a zip archive can follow #; write https://HOST/PATH.zip#MEMBER")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise UsageError(f"{text!r}: write https://; http:// is only for a server on this machine")
