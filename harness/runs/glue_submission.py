"""Write and check submissions to the GLUE leaderboard (gluebenchmark.com): a zip archive of 11 prediction files.

Each file is a table of tab-separated values: the header `index<TAB>prediction`, then a row for each example of a split
with hidden labels, with the index 0, 1, 2, ... in order. A prediction is the name of a class or a number from 0 to 5.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from harness.runs.submission_reader import ZIP, printable, read_submission
from zoo.errors import SourceError, UsageError, did_you_mean
from zoo.files import undecodable_byte, write_atomically
from zoo.recipes.public_data import PUBLIC

HEADER = "index\tprediction"
LOW, HIGH = 0, 5
"""The range of STS-B's scores."""
MAX_PROBLEMS = 5
"""The most problems that are listed for one file."""

_NUMBER = re.compile(r"[+-]?(\d++(\.\d*+)?|\.\d++)([eE][+-]?\d++)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a submission, with the predictions for one split."""

    name: str
    task: str
    """The name of the GLUE task in `zoo.tasks.glue`."""
    split: str = "test"
    labels: tuple[str, ...]
    """The leaderboard's names of the classes, in the order of the task; empty for a regression."""

    @property
    def rows(self) -> int:
        """The number of rows of the split."""
        return PUBLIC[f"glue/{self.task}"].hidden[self.split]

    def accepts(self, text: str) -> bool:
        """Return whether a text is a valid prediction."""
        if self.labels:
            return text in self.labels
        return _NUMBER.fullmatch(text) is not None and LOW <= float(text) <= HIGH


_BINARY = ("0", "1")
_PAIR = ("entailment", "not_entailment")
_THREE = ("entailment", "neutral", "contradiction")
FILES: Mapping[str, File] = {
    file.name: file
    for file in (
        File(name="CoLA.tsv", task="cola", labels=_BINARY),
        File(name="SST-2.tsv", task="sst2", labels=_BINARY),
        File(name="MRPC.tsv", task="mrpc", labels=_BINARY),
        File(name="STS-B.tsv", task="stsb", labels=()),
        File(name="QQP.tsv", task="qqp", labels=_BINARY),
        File(name="MNLI-m.tsv", task="mnli", split="test_matched", labels=_THREE),
        File(name="MNLI-mm.tsv", task="mnli", split="test_mismatched", labels=_THREE),
        File(name="QNLI.tsv", task="qnli", labels=_PAIR),
        File(name="RTE.tsv", task="rte", labels=_PAIR),
        File(name="WNLI.tsv", task="wnli", labels=_BINARY),
        File(name="AX.tsv", task="mnli", split="ax", labels=_THREE),
    )
}
"""The 11 files of a submission, by name."""


def of_task(task: str) -> list[File]:
    """Return the files with predictions for a task, by its name in `zoo.tasks.glue`."""
    return [file for file in FILES.values() if file.task == task]


def write(predictions: Mapping[str, NDArray[np.generic]], folder: Path) -> Path:
    """Write prediction files and a `submission.zip` of them; the same predictions give the same bytes.

    Args:
        predictions: For names in `FILES`, the predictions `(N,)`: numbers of classes in the task's order, or scores of
            STS-B, which are clipped to [0, 5]. Their number is checked by `check`, not here.
        folder: The folder to write into; created if it is missing.

    Returns:
        The path of the zip archive.

    Raises:
        UsageError: A name is not in `FILES`, or a prediction is not a class or not finite. Nothing is written.
        SourceError: The folder cannot be written.
    """
    for name in predictions:
        if name not in FILES:
            raise UsageError(f"a submission has no file {name!r}{did_you_mean(name, list(FILES))}")
    tables = {name: _table(file, predictions[name]) for name, file in FILES.items() if name in predictions}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in {**tables, ZIP: _zip(tables)}.items():
            write_atomically(folder / name, data)
    except OSError as error:
        raise SourceError(f"{folder}: cannot write there: {error.strerror or error}") from None
    return folder / ZIP


def _table(file: File, values: NDArray[np.generic]) -> bytes:
    if values.ndim != 1 or values.dtype.kind not in "biuf":
        raise UsageError(f"{file.name}: predictions are {values.dtype} {values.shape}, expected numbers (N,)")
    valid = np.isin(values, np.arange(len(file.labels))) if file.labels else np.isfinite(values.astype(np.float64))
    if not valid.all():
        row = int(np.argmin(valid))
        expected = f"a class of 0 to {len(file.labels) - 1}" if file.labels else "a finite number"
        raise UsageError(f"{file.name}: prediction {row} is {values[row]}, expected {expected}")
    if file.labels:
        texts = [file.labels[number] for number in values.astype(np.int64).tolist()]
    else:  # adding 0.0 turns -0.0 into 0.0
        texts = [f"{number:.3f}" for number in (np.clip(values.astype(np.float64), LOW, HIGH) + 0.0).tolist()]
    return "".join([HEADER, "\n", *(f"{index}\t{text}\n" for index, text in enumerate(texts))]).encode()


def _zip(tables: Mapping[str, bytes]) -> bytes:
    """Return a zip archive that depends on its files alone: not on the clock, the platform or the version of zlib."""
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_STORED) as archive:
        for name, data in tables.items():
            info = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16  # a regular file on Unix
            archive.writestr(info, data)
    return packed.getvalue()


def check(path: Path) -> list[str]:
    """List what the leaderboard would refuse of a submission.

    Args:
        path: A zip archive, or a folder to be zipped. Hidden files and `submission.zip` in a folder are ignored.

    Returns:
        One line for each problem, `FILE:LINE: message` or `FILE: message`, at most five for a file. They come in the
        order of `FILES`, followed by unexpected files.

    Raises:
        UsageError: It is not a zip archive, it is damaged or encrypted, or a file is larger than 64 MB.
        SourceError: It cannot be read.
    """
    problems: dict[str, list[str]] = {}
    extra: list[str] = []
    for name, data in read_submission(path, FILES):
        if data is None:
            extra.append(name)
        else:
            problems[name] = _problems(FILES[name], data)
    missing = [name for name in FILES if name not in problems]
    unexpected = [f"{printable(name)}: {_unexpected(name, missing)}" for name in extra[:MAX_PROBLEMS]]
    if len(extra) > MAX_PROBLEMS:
        unexpected.append(f"{path.name}: ... and {len(extra) - MAX_PROBLEMS} more unexpected files")
    return [*chain.from_iterable(problems.get(name, [f"{name}: missing"]) for name in FILES), *unexpected]


def _unexpected(name: str, missing: list[str]) -> str:
    return "occurs more than once" if name in FILES else f"unexpected file{did_you_mean(name[:40], missing)}"


def _problems(file: File, data: bytes) -> list[str]:
    """List the problems of a file: at most `MAX_PROBLEMS`, and the number of further ones."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line, byte = undecodable_byte(error)
        return [f"{file.name}:{line}: not UTF-8: the byte 0x{byte:02x}"]
    rows = max(text.count("\n") - text.endswith("\n"), 0)
    header, *lines = (line.removesuffix("\r") for line in text.split("\n", file.rows + 1))
    problems = []
    if header != HEADER:
        problems.append(f"{file.name}:1: the header is {_shown(header)}, expected {HEADER!r}")
    if rows != file.rows:
        problems.append(f"{file.name}: {rows} rows after the header, expected {file.rows}")
    lines = lines[: min(rows, file.rows)]
    wrong = [index for index, line in enumerate(lines) if not _is_valid(file, index, line)]
    listed = wrong[: MAX_PROBLEMS - len(problems)]
    problems += [f"{file.name}:{index + 2}: {_message(file, index, lines[index])}" for index in listed]
    more = len(wrong) - len(listed)
    return [*problems, *([f"{file.name}: ... and {more} more"] if more else [])]


def _is_valid(file: File, index: int, line: str) -> bool:
    start, tab, text = line.partition("\t")
    return start == str(index) and bool(tab) and file.accepts(text)


def _message(file: File, index: int, line: str) -> str:
    """Say what is wrong with a row. This is slow, so it is called only for the rows that are listed."""
    columns = line.count("\t") + 1
    if columns != 2:
        return f"{columns} column{'s' * (columns > 1)}, expected 2" if line else "an empty line"
    start, _, text = line.partition("\t")
    if start != str(index):
        return f"the index is {_shown(start)}, expected {index}"
    if file.labels:
        return f"{_shown(text)} is not a label{did_you_mean(text[:40], list(file.labels))}"
    if _NUMBER.fullmatch(text):
        return f"{_shown(text)} is not between {LOW} and {HIGH}"
    finite = text.lower().strip("+-") not in ("nan", "inf", "infinity")
    return f"{_shown(text)} is {'not a number' if finite else 'not finite'}"


def _shown(text: str) -> str:
    """Return a text in quotes, on one line, cut if it is long."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
