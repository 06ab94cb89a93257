"""Read the files of a submission from a zip archive or a folder that may be damaged or hostile."""

import struct
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from zoo.errors import SourceError, UsageError

ZIP = "submission.zip"
MAX_BYTES = 64 << 20
"""The size of the largest file that is read; the longest real one, QQP.tsv, has 3.5 million bytes."""

_IGNORED = "__MACOSX"
# what zipfile raises for arbitrary bytes, besides OSError
_DAMAGED = (BadZipFile, RuntimeError, ValueError, OverflowError, EOFError, zlib.error, struct.error)


def read_submission(path: Path, expected: Collection[str]) -> Iterator[tuple[str, bytes | None]]:
    """Yield the names of all files of a submission, with the content of the expected ones.

    Each expected file is read once, the first time that it occurs. Hidden files, `submission.zip` and what macOS adds
    to archives are left out.

    Args:
        path: A zip archive or a folder.
        expected: The names of the files to read.

    Raises:
        UsageError: It is not a zip archive, it is damaged or encrypted, or a file is larger than `MAX_BYTES`.
        SourceError: It cannot be read.
    """
    try:
        if path.is_dir():
            yield from _read_folder(path, expected)
        elif path.is_file():
            yield from _read_zip(path, expected)
        else:
            raise SourceError(f"{path}: no such file or folder")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from None
    except _DAMAGED as error:
        raise UsageError(
            f"{path}: not a zip archive, or a damaged one: {printable(str(error) or 'it ends early')}"
        ) from None


def _read_folder(path: Path, expected: Collection[str]) -> Iterator[tuple[str, bytes | None]]:
    for file in sorted(path.iterdir()):
        if file.name in expected:
            if not file.is_file():
                raise UsageError(f"{file} is not a file")
            _check_size(str(file), file.stat().st_size)
            yield file.name, file.read_bytes()
        elif file.name not in (ZIP, _IGNORED) and not file.name.startswith("."):
            yield file.name, None


def _read_zip(path: Path, expected: Collection[str]) -> Iterator[tuple[str, bytes | None]]:
    with ZipFile(path) as archive:
        members = {info: info.filename for info in archive.infolist() if not info.filename.endswith("/")}
        members = {info: name for info, name in members.items() if name.split("/")[0] != _IGNORED}
        for info, name in members.items():
            _check_member(f"{path}: {printable(name)}", info)
        folder, unread = _common_folder(members.values(), expected), set(expected)
        for info, full in members.items():
            name = full.removeprefix(folder)
            yield name, _read_member(archive, info) if name in unread else None
            unread.discard(name)


def _check_member(where: str, info: ZipInfo) -> None:
    """Raise UsageError for a member that cannot be read, or only with much memory."""
    if info.flag_bits & 1:
        raise UsageError(f"{where} is encrypted")
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # zipfile unpacks other methods without a limit
        raise UsageError(f"{where} is compressed by method {info.compress_type}, expected deflate or none")
    _check_size(where, info.file_size)


def _check_size(where: str, size: int) -> None:
    if size > MAX_BYTES:
        raise UsageError(f"{where} has {size:,} bytes, more than {MAX_BYTES:,}")


def _common_folder(names: Iterable[str], expected: Collection[str]) -> str:
    """Return the one folder, as `NAME/`, that holds the files of a submission, or an empty text."""
    folders = {folder + slash for folder, slash, file in (name.rpartition("/") for name in names) if file in expected}
    folder = folders.pop() if len(folders) == 1 else ""
    return folder if folder.count("/") == 1 and folder.strip("./") else ""


def _read_member(archive: ZipFile, info: ZipInfo) -> bytes:
    with archive.open(info) as member:
        return member.read(info.file_size + 1)  # at most the announced size; one byte more makes zipfile check the CRC


def printable(text: str) -> str:
    """Return a name as it is if it fits on one line, else quoted and cut."""
    return text if text and text.isprintable() and len(text) <= 200 else repr(text[:200])
