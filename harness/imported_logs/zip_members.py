"""Read members of a zip file in bounded memory, also those compressed by Zstandard, which Python 3.11 cannot read."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo, _EndRecData  # type: ignore[attr-defined]  # the end as ZipFile sees it

import pyarrow as pa

from zoo.errors import UsageError, first_line
from zoo.fetch.limits import max_ratio

ZSTANDARD = 93
"""The number of Zstandard among the compressions of zip files."""
FREE_BYTES = 64 * 1024 * 1024
"""The most bytes of all members, besides ZOO_MAX_RATIO times the size of the file."""
MAX_DIRECTORY = 256 * 1024 * 1024
"""The most bytes of the list of members, of which each takes at least 46, and several hundred in memory."""
_DIRECTORY_SIZE = 5
"""The position of the size of the list in the record at the end of a zip file."""
_HEADER = struct.Struct("<4s22xHH")
"""The fixed part of the header before a member: its mark, and the lengths of its name and of its extra field."""


class ZipMembers:
    """The members of a zip file by name; of several members of the same name, the last."""

    def __init__(self, path: Path) -> None:
        """Read the list of members. Raise UsageError if it is no zip file, or would fill the memory."""
        self.path = path
        try:
            _check_directory(path)
            self._archive = ZipFile(path)  # it reads the whole list, and is closed with this object
        except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise UsageError(f"{path}: not a zip file: {first_line(error)}") from None
        infos = self._archive.infolist()
        size, most = sum(info.file_size for info in infos), FREE_BYTES + max_ratio() * path.stat().st_size
        if size > most:
            raise UsageError(
                f"{path}: {path.stat().st_size:,} bytes would unpack to {size:,}; it is not read, as it could fill the"
                " memory; ZOO_MAX_RATIO raises this limit"
            )
        self._infos = {info.filename: info for info in infos}

    def names(self) -> Iterator[str]:
        """Yield the names of the members."""
        yield from self._infos

    def read(self, name: str) -> bytes:
        """Return the content of a member. Raise UsageError if it is damaged."""
        info = self._infos[name]
        try:
            content = self._zstandard(info) if info.compress_type == ZSTANDARD else self._other(info)
        except (BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, zlib.error, struct.error, EOFError,
                pa.ArrowException) as error:  # fmt: skip
            raise UsageError(f"{self.path}: the member {name!r} is damaged: {first_line(error)}") from None
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise UsageError(f"{self.path}: the member {name!r} is damaged: its checksum differs")
        return content

    def _other(self, info: ZipInfo) -> bytes:
        with self._archive.open(info) as file:
            return file.read(info.file_size + 1)

    def _zstandard(self, info: ZipInfo) -> bytes:
        with self.path.open("rb") as file:
            file.seek(info.header_offset)
            mark, name, extra = _HEADER.unpack(file.read(_HEADER.size))
            if mark != b"PK\x03\x04":
                raise ValueError("its header is not that of a member")
            file.seek(name + extra, 1)
            compressed = file.read(info.compress_size)
        with pa.CompressedInputStream(pa.BufferReader(compressed), "zstd") as stream:
            content: bytes = stream.read(info.file_size + 1)
        return content


def _check_directory(path: Path) -> None:
    """Raise UsageError if the list of members is too long to read."""
    with path.open("rb") as file:
        end = _EndRecData(file)
    if end and end[_DIRECTORY_SIZE] > MAX_DIRECTORY:
        raise UsageError(
            f"{path}: its list of members has {end[_DIRECTORY_SIZE]:,} bytes; at most {MAX_DIRECTORY:,} are read"
        )
