"""Submissions to the GLUE leaderboard (gluebenchmark.com): a zip of 11 files of predictions, written and checked.

Each file is a table of tab-separated values: the header `index<TAB>prediction`, then a row per example of a split whose
labels are hidden, with index 0, 1, 2, ... in order. The prediction is the name of a class, or a number from 0 to 5.
"""

import io
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from zoo.errors import SourceError, UsageError, did_you_mean

ZIP = "submission.zip"
HEADER = "index\tprediction"
LOW, HIGH = 0, 5
"""The range of STS-B's numbers."""
LARGEST = 64 << 20
"""Bytes of a file that is still read: the longest, QQP.tsv, has 3.5 million."""
MOST = 5
"""Problems told of one file."""

_IGNORED = "__MACOSX"
_NUMBER = re.compile(r"[+-]?(\d++(\.\d*+)?|\.\d++)([eE][+-]?\d++)?", re.ASCII)
# all that zipfile has been seen to raise of arbitrary bytes, besides OSError
_DAMAGED = (BadZipFile, RuntimeError, ValueError, OverflowError, EOFError, zlib.error, struct.error)


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a submission.

    It holds the predictions of `split` of the GLUE task `task` (a name in `zoo.tasks.glue`). `labels` names the classes
    in the task's order as the leaderboard writes them; none: numbers.
    """

    name: str
    task: str
    split: str = "test"
    rows: int
    labels: tuple[str, ...]

    def takes(self, text: str) -> bool:
        """Whether a prediction may be written so."""
        if self.labels:
            return text in self.labels
        return _NUMBER.fullmatch(text) is not None and LOW <= float(text) <= HIGH


_BINARY = ("0", "1")
_PAIR = ("entailment", "not_entailment")
_THREE = ("entailment", "neutral", "contradiction")
FILES: Mapping[str, File] = {
    file.name: file
    for file in (
        File(name="CoLA.tsv", task="cola", rows=1063, labels=_BINARY),
        File(name="SST-2.tsv", task="sst2", rows=1821, labels=_BINARY),
        File(name="MRPC.tsv", task="mrpc", rows=1725, labels=_BINARY),
        File(name="STS-B.tsv", task="stsb", rows=1379, labels=()),
        File(name="QQP.tsv", task="qqp", rows=390965, labels=_BINARY),
        File(name="MNLI-m.tsv", task="mnli", split="test_matched", rows=9796, labels=_THREE),
        File(name="MNLI-mm.tsv", task="mnli", split="test_mismatched", rows=9847, labels=_THREE),
        File(name="QNLI.tsv", task="qnli", rows=5463, labels=_PAIR),
        File(name="RTE.tsv", task="rte", rows=3000, labels=_PAIR),
        File(name="WNLI.tsv", task="wnli", rows=146, labels=_BINARY),
        File(name="AX.tsv", task="mnli", split="ax", rows=1104, labels=_THREE),
    )
}
"""The 11 files by name; nothing but their predictions is ever in a submission."""


def of_task(task: str) -> list[File]:
    """The files that hold predictions of a task, by its name in `zoo.tasks.glue`."""
    return [file for file in FILES.values() if file.task == task]


def write(predictions: Mapping[str, NDArray[np.generic]], folder: Path) -> Path:
    """Write the files and `submission.zip` of them into a folder, each in one rename; returns the zip's path.

    `predictions` maps names in `FILES` to `(N,)`: numbers of classes in the task's order, or STS-B's numbers, which are
    clipped to [0, 5]. The number of rows is not looked at: that is `check`'s. The same predictions give the same bytes.
    Raises UsageError for another name or a prediction that is no class or not finite, before anything is written, and
    SourceError where the folder cannot be written.
    """
    for name in predictions:
        if name not in FILES:
            raise UsageError(f"a submission has no file {name!r}{did_you_mean(name, list(FILES))}")
    tables = {name: _table(file, predictions[name]) for name, file in FILES.items() if name in predictions}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in {**tables, ZIP: _zip(tables)}.items():
            _put(folder / name, data)
    except OSError as error:
        raise SourceError(f"{folder}: cannot write there: {error.strerror or error}") from None
    return folder / ZIP


def _table(file: File, values: NDArray[np.generic]) -> bytes:
    """The file's bytes."""
    if values.ndim != 1 or values.dtype.kind not in "biuf":
        raise UsageError(f"{file.name}: predictions are {values.dtype} {values.shape}, expected numbers (N,)")
    good = np.isin(values, np.arange(len(file.labels))) if file.labels else np.isfinite(values.astype(np.float64))
    if not good.all():
        row = int(np.argmin(good))
        expected = f"a class of 0 to {len(file.labels) - 1}" if file.labels else "a finite number"
        raise UsageError(f"{file.name}: prediction {row} is {values[row]}, expected {expected}")
    if file.labels:
        texts = [file.labels[number] for number in values.astype(np.int64).tolist()]
    else:  # adding 0.0 makes 0.000 of -0.0
        texts = [f"{number:.3f}" for number in (np.clip(values.astype(np.float64), LOW, HIGH) + 0.0).tolist()]
    return "".join([HEADER, "\n", *(f"{index}\t{text}\n" for index, text in enumerate(texts))]).encode()


def _zip(tables: Mapping[str, bytes]) -> bytes:
    """A zip that depends on nothing but its files: not on the clock, the platform or, being stored, zlib's version."""
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_STORED) as archive:
        for name, data in tables.items():
            info = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16  # a plain file of Unix
            archive.writestr(info, data)
    return packed.getvalue()


def _put(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check(path: Path) -> list[str]:
    """What the leaderboard would refuse of a zip, or of a folder to be zipped; nothing where all is well.

    Each is one line, `FILE:LINE: message` or `FILE: message`, in the order of `FILES` and then what does not belong;
    of a file no more than five. In a folder, hidden files and `submission.zip` are not looked at. Raises UsageError for
    what is no zip, a damaged or an encrypted one, or a file larger than 64 MB, and SourceError for what cannot be read.
    """
    problems: dict[str, list[str]] = {}
    extra: list[str] = []
    for name, data in _contents(path):
        if data is None:
            extra.append(name)
        else:
            problems[name] = _problems(FILES[name], data)
    missing = [name for name in FILES if name not in problems]
    unexpected = [f"{_plain(name)}: {_unexpected(name, missing)}" for name in extra[:MOST]]
    if len(extra) > MOST:
        unexpected.append(f"{path.name}: ... and {len(extra) - MOST} more files that do not belong")
    return [*chain.from_iterable(problems.get(name, [f"{name}: missing"]) for name in FILES), *unexpected]


def _unexpected(name: str, missing: list[str]) -> str:
    return "is there more than once" if name in FILES else f"unexpected file{did_you_mean(name[:40], missing)}"


def _contents(path: Path) -> Iterator[tuple[str, bytes | None]]:
    """Names, and the bytes of those in `FILES`, once each; nothing else is ever read."""
    try:
        if path.is_dir():
            yield from _in_folder(path)
        elif path.is_file():
            yield from _in_zip(path)
        else:
            raise SourceError(f"{path}: no such file or folder")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from None
    except _DAMAGED as error:
        raise UsageError(f"{path}: no zip, or a damaged one: {_plain(str(error) or 'it ends early')}") from None


def _in_folder(path: Path) -> Iterator[tuple[str, bytes | None]]:
    for file in sorted(path.iterdir()):
        if file.name in FILES:
            if not file.is_file():
                raise UsageError(f"{file} is no file")
            _refuse_large(str(file), file.stat().st_size)
            yield file.name, file.read_bytes()
        elif file.name not in (ZIP, _IGNORED) and not file.name.startswith("."):
            yield file.name, None


def _in_zip(path: Path) -> Iterator[tuple[str, bytes | None]]:
    with ZipFile(path) as archive:
        members = {info: info.filename for info in archive.infolist() if not info.filename.endswith("/")}
        members = {info: name for info, name in members.items() if name.split("/")[0] != _IGNORED}
        for info, name in members.items():
            _refuse(f"{path}: {_plain(name)}", info)
        folder, unread = _folder(members.values()), set(FILES)
        for info, full in members.items():
            name = full.removeprefix(folder)
            yield name, _read(archive, info) if name in unread else None
            unread.discard(name)


def _refuse(where: str, info: ZipInfo) -> None:
    """Raise UsageError for a member that cannot be read, or only at the price of much memory."""
    if info.flag_bits & 1:
        raise UsageError(f"{where} is encrypted")
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # zipfile unpacks others without a limit
        raise UsageError(f"{where} is compressed by method {info.compress_type}, expected deflate or none")
    _refuse_large(where, info.file_size)


def _refuse_large(where: str, size: int) -> None:
    if size > LARGEST:
        raise UsageError(f"{where} has {size:,} bytes, more than {LARGEST:,}")


def _folder(names: Iterable[str]) -> str:
    """The one folder, `NAME/`, in which the files of a submission lie, or nothing."""
    folders = {folder + slash for folder, slash, file in (name.rpartition("/") for name in names) if file in FILES}
    folder = folders.pop() if len(folders) == 1 else ""
    return folder if folder.count("/") == 1 and folder.strip("./") else ""


def _read(archive: ZipFile, info: ZipInfo) -> bytes:
    with archive.open(info) as member:
        return member.read(info.file_size + 1)  # no more than announced; the byte past the end brings the CRC's check


def _problems(file: File, data: bytes) -> list[str]:
    """What is wrong with a file, five lines at most and how many more there are."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return [f"{file.name}:{line}: not UTF-8: the byte 0x{data[error.start]:02x}"]
    rows = max(text.count("\n") - text.endswith("\n"), 0)
    header, *lines = (line.removesuffix("\r") for line in text.split("\n", file.rows + 1))
    problems = []
    if header != HEADER:
        problems.append(f"{file.name}:1: the header is {_shown(header)}, expected {HEADER!r}")
    if rows != file.rows:
        problems.append(f"{file.name}: {rows} rows after the header, expected {file.rows}")
    lines = lines[: min(rows, file.rows)]
    wrong = [index for index, line in enumerate(lines) if not _is_right(file, index, line)]
    told = wrong[: MOST - len(problems)]
    problems += [f"{file.name}:{index + 2}: {_message(file, index, lines[index])}" for index in told]
    return [*problems, *([f"{file.name}: ... and {len(wrong) - len(told)} more"] if len(wrong) > len(told) else [])]


def _is_right(file: File, index: int, line: str) -> bool:
    start, tab, text = line.partition("\t")
    return start == str(index) and bool(tab) and file.takes(text)


def _message(file: File, index: int, line: str) -> str:
    """What is wrong with a row: slow, and so only asked of those that are told."""
    columns = line.count("\t") + 1
    if columns != 2:
        return f"{columns} column{'s' * (columns > 1)}, expected 2" if line else "an empty line"
    start, _, text = line.partition("\t")
    if start != str(index):
        return f"the index is {_shown(start)}, expected {index}"
    if file.labels:
        return f"{_shown(text)} is no label{did_you_mean(text[:40], list(file.labels))}"
    if _NUMBER.fullmatch(text):
        return f"{_shown(text)} is not in {LOW} to {HIGH}"
    finite = text.lower().strip("+-") not in ("nan", "inf", "infinity")
    return f"{_shown(text)} is {'no number' if finite else 'not finite'}"


def _shown(text: str) -> str:
    """Quoted, on one line, and not too long of it."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def _plain(text: str) -> str:
    """A name as it is, if it can be shown on one line."""
    return text if text and text.isprintable() and len(text) <= 200 else repr(text[:200])
