"""How a file of CSV, TSV or JSON lines is written: its encoding, its header, and whether quotes delimit fields."""

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from zoo.errors import SourceError, UsageError, did_you_mean

Header = bool | Sequence[str]
"""Whether the first line names the columns; or their names, for a file without such a line."""
UTF8 = "utf-8"
KNOWN = (UTF8, "utf-16", "utf-32", "latin-1", "cp1252", "cp1251", "shift_jis", "gb18030", "big5", "euc_kr")
"""Encodings to suggest for a misspelled name; Python knows many more."""
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
"""Byte order marks, each with the encoding that it is certain of. That of UTF-32 begins with that of UTF-16."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a file is written. Only its encoding applies to JSON, and nothing to parquet."""

    quotes: bool | None = None
    """Whether double quotes delimit a field. Default: in CSV they do, in TSV they are text."""
    header: Header | Mapping[str, Header] = True
    """Whether the first line names the columns, or their names; also one of these for each split."""
    extra_fields: bool = False
    """Whether a row may have more fields than there are columns; they are left out."""
    encoding: str | None = None
    """The encoding. Default: UTF-8, unless the file begins with the byte order mark of UTF-16 or UTF-32."""

    def __post_init__(self) -> None:
        """Raise UsageError for an unknown encoding, or names of columns that are no names."""
        if self.encoding is not None and not _is_text_encoding(self.encoding):
            raise UsageError(f"unknown encoding {self.encoding!r}{did_you_mean(self.encoding, list(KNOWN))}").about(
                "encoding"
            )
        headers = self.header.values() if isinstance(self.header, Mapping) else [self.header]
        for names in headers:
            if isinstance(names, bool):
                continue
            if isinstance(names, str) or not names or len({*names}) < len(names):
                example = "true, false, or the names of all columns, such as [label, text]"
                raise UsageError(f"header is {names!r}; it must be {example}").about("header")

    def of(self, split: str) -> Self:
        """Return the dialect of one split."""
        return replace(self, header=self.header.get(split, True)) if isinstance(self.header, Mapping) else self

    def decode(self, path: Path) -> str:
        """Return the text of a file, without a byte order mark.

        Raises:
            SourceError: A byte is not in the encoding; with its line.
        """
        data = path.read_bytes()
        marked = next((name for mark, name in MARKS if data.startswith(mark)), None)
        encoding = self.encoding or marked or UTF8
        if marked and not _plain(encoding).startswith(_plain(marked)):
            found = f"the file begins with the byte order mark of {marked.upper()}"
            raise SourceError(f"{path}: {found}, so it is not in {encoding}; leave out `encoding`")
        try:
            return data.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            line = data[: error.start].decode(encoding, "replace").count("\n") + 1
            problem = f"line {line}: the file is not in {encoding.upper()}: the byte 0x{data[error.start]:02x}"
            advice = "name its encoding in the recipe, such as `encoding: cp1252`"
            raise SourceError(f"{path}: {problem}; save it in UTF-8, or {advice}") from None


DEFAULT = Dialect()


def _is_text_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except (LookupError, ValueError):  # also of codecs from bytes to bytes, such as base64
        return False
    return True


def _plain(encoding: str) -> str:
    return codecs.lookup(encoding).name.replace("_", "-")
