"""Read files of strangers in bounded memory: JSON, lines of JSON, and numbers."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from harness.imported_logs.types import DOCUMENT, TASK
from zoo.errors import SourceError, UsageError
from zoo.safe_text import one_line

T = TypeVar("T")
MAX_BYTES = 4_000_000_000
"""The most bytes of a file that is read line by line."""
MAX_DOCUMENT = 200_000_000
"""The most bytes of one JSON document, or of one line of a file."""
MAX_SAMPLES = 5_000_000
MOST_FOLDERS = 5
"""The most folders that a message lists."""
MAX_NAME = 100
"""The most characters of a name in messages."""


def existing(path: Path) -> Path:
    """Return a path. Raise SourceError if there is no such file or folder."""
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    return path


def folders_with(folder: Path, pattern: str) -> str:
    """Return which folders inside one have files of a pattern, for a message; an empty text if none has."""
    levels = ("*/", "*/*/", "*/*/*/")
    found = sorted({str(file.parent) for level in levels for file in folder.glob(f"{level}{pattern}")})
    more = f" and {len(found) - MOST_FOLDERS} more" if len(found) > MOST_FOLDERS else ""
    return f"; name one of the folders inside: {', '.join(found[:MOST_FOLDERS])}{more}" if found else ""


def read_document(path: Path) -> Mapping[str, Any]:
    """Return the JSON object in a file. Raise UsageError for other content, SourceError if it cannot be read."""
    check_size(path, MAX_DOCUMENT)
    return parse_object(_bytes(path), str(path))


def read_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the JSON objects of a file, one a line, with the numbers of their lines."""
    check_size(path, MAX_BYTES)
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_DOCUMENT + 1):
                number += 1
                where = f"{path}:{number}"
                if len(line) > MAX_DOCUMENT:
                    raise UsageError(f"{where}: a line of more than {MAX_DOCUMENT:,} bytes")
                if number > MAX_SAMPLES:
                    raise UsageError(f"{path}: more than {MAX_SAMPLES:,} lines")
                if line.strip():
                    yield number, parse_object(line, where)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None


def parse_object(content: bytes, where: str) -> Mapping[str, Any]:
    """Return the JSON object in some bytes. Raise UsageError for other content.

    NaN and infinity are accepted, because Python's writers of logs use them; scores are checked where they are read.
    """
    try:
        data = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise UsageError(f"{where}: not text in UTF-8") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{where}: not JSON: {reason}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{where}: not a JSON object")
    return data


def check_size(path: Path, most: int) -> None:
    """Raise SourceError for a path that is no file, UsageError for a file that is too long."""
    if path.exists() and not path.is_file():
        raise SourceError(f"{path}: not a file")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    if size > most:
        raise UsageError(f"{path}: {size:,} bytes; at most {most:,} are read")


def part(data: Any, *keys: str) -> Any:
    """Return a value in nested JSON objects; None if it is not there."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def text_of(value: Any) -> str:
    """Return a text or number of a log as one line; an empty text for anything else."""
    return one_line(value)[:MAX_NAME] if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def identifier(value: Any) -> str:
    """Return the text or number that names a document, or a digest of a long one; an empty text for anything else."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    return digest(value) if isinstance(value, str) and len(value) > MAX_NAME else text_of(value)


def type_of(value: Any) -> str:
    """Return the name of a type of numbers without its module: `bfloat16` for `torch.bfloat16`."""
    return text_of(value).removeprefix("torch.")


def stated(values: Mapping[str, T]) -> dict[str, T]:
    """Return the values that are not empty."""
    return {name: value for name, value in values.items() if value}


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def number(value: Any) -> float | None:
    """Return a finite number, or a truth value as 0 or 1; None for anything else."""
    if not isinstance(value, bool | int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def digest(*parts: Any) -> str:
    """Return a digest of values of a log."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def group_of(by: str, *, task: str, document: str, fields: Mapping[str, Any], where: str) -> str:
    """Return what the samples of a group share.

    Args:
        by: The user's `--group-by`: `document`, `task`, or the path of a field, such as `passage` or `meta.topic`.
        task: The task.
        document: The name of the document.
        fields: The fields of the document.
        where: The sample, for messages.

    Raises:
        UsageError: The document has no such field.
    """
    if by == DOCUMENT:
        return f"{task}\0{document}"
    if by == TASK:
        return task
    value = part(fields, *by.split("."))
    if value is None:
        known = ", ".join([DOCUMENT, TASK, *map(str, list(fields)[:12])])
        raise UsageError(f"{where}: no field {by!r} to group by; known: {one_line(known)}")
    return digest(value)


def unique(samples: Iterable[Any], key: Callable[[Any], Any], where: str) -> None:
    """Raise UsageError if two samples have the same key."""
    seen = set()
    for sample in samples:
        if (name := key(sample)) in seen:
            shown = one_line(" ".join(map(str, name)))[:MAX_NAME]
            raise UsageError(f"{where}: the sample {shown!r} occurs twice; it may be the log of several runs")
        seen.add(name)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None


def seconds_of(value: Any) -> float:
    """Return a duration that a log states as a number or as text; 0 if it states none."""
    try:
        return max(number(float(str(value))) or 0.0, 0.0)
    except ValueError:
        return 0.0
