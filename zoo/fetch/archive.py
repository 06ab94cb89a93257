"""Files in zip archives: one file is extracted, under a name that the archive does not choose."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from zoo.errors import IntegrityError, MissingError, SourceError, ZooError, first_line
from zoo.fetch.checksum import sha256
from zoo.fetch.limits import max_ratio
from zoo.fetch.source_types import ArchiveMember, ParsedSource
from zoo.files import replacing

PIECE = 1 << 20
"""The number of bytes to unpack at once."""
MAX_COMPARED, MAX_SHOWN = 1000, 200
"""The most names of an archive that an error compares, and the most characters of each that it shows."""


def extract_member(source: ArchiveMember, archive: Path, path: Path) -> str:
    """Extract a file from an archive, unless `path` is an intact copy of it already.

    Args:
        source: The source; it names the file in the archive.
        archive: The downloaded archive.
        path: Where the file goes.

    Returns:
        The SHA-256 of the file.

    Raises:
        MissingError: The archive has no such file, or several.
        IntegrityError: The archive is damaged or unpacks to far too many bytes.
        SourceError: The file cannot be stored.
    """
    with _reading(source), ZipFile(archive) as opened:
        entry = _find(source, opened.infolist(), archive.stat().st_size)
        digest = hashlib.sha256()
        for piece in _pieces(opened, entry):
            digest.update(piece)
        if not path.is_file() or sha256(path) != digest.hexdigest():
            with storing(source, path) as partial, partial.open("wb") as file:
                file.writelines(_pieces(opened, entry))
    return digest.hexdigest()


@contextmanager
def storing(source: ParsedSource, path: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` once it is complete. Raises SourceError if it cannot be written."""
    try:
        with replacing(path) as partial:
            yield partial
    except OSError as error:
        raise SourceError(f"{source}: cannot be stored in {path.parent}: {error.strerror or error}") from None


@contextmanager
def _reading(source: ArchiveMember) -> Iterator[None]:
    """Raise IntegrityError for any exception that a damaged archive causes in the block."""
    try:
        yield
    except ZooError:
        raise
    except OSError as error:
        raise SourceError(f"{source}: {error.strerror or error}") from None
    except Exception as error:  # zlib has its own exceptions
        reason = first_line(error) or type(error).__name__
        raise IntegrityError(f"{source}: the archive cannot be read: {reason}") from None


def _find(source: ArchiveMember, entries: list[ZipInfo], archive_size: int) -> ZipInfo:
    """Return the one file whose path is the member's, or ends with it."""
    files = [entry for entry in entries if not entry.is_dir()]
    matches = [entry for entry in files if entry.filename == source.member]
    matches = matches or [entry for entry in files if entry.filename.endswith(f"/{source.member}")]
    if len(matches) != 1:
        raise MissingError(_no_single_match(source, files, len(matches)))
    entry = matches[0]
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # other methods may unpack more than requested
        readable = "only stored and deflated files can be read"
        raise IntegrityError(f"{source}: is packed by method {entry.compress_type}; {readable}")
    if entry.file_size > max_ratio() * archive_size:
        raise IntegrityError(f"{source}: unpacks to {entry.file_size:,} bytes, from an archive of {archive_size:,}")
    return entry


def _no_single_match(source: ArchiveMember, files: list[ZipInfo], matches: int) -> str:
    names = [entry.filename for entry in files[:MAX_COMPARED]]
    near = [repr(name[:MAX_SHOWN]) for name in get_close_matches(source.member, names, n=12, cutoff=0)]
    more = f" and {len(files) - len(near)} more" if len(files) > len(near) else ""
    has = f"{matches} files whose path ends with" if matches else "no file"
    return f"{source.archive} has {has} {source.member!r}; it has {', '.join(near) or 'no file'}{more}"


def _pieces(archive: ZipFile, entry: ZipInfo) -> Iterator[bytes]:
    """Yield the content of a file in an archive; the end is reached only if its checksum is right."""
    with archive.open(entry) as file:
        while piece := file.read(PIECE):
            yield piece
