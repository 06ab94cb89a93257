"""GLUE submissions: files as the leaderboard reads them, every problem with its line, and no error but ZooError."""

import io
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.runs.glue_submission import FILES, HEADER, check, write
from harness.runs.submission_reader import ZIP
from tests.helpers.project import ROOT
from zoo.errors import SourceError, UsageError, ZooError
from zoo.tasks.glue import AX, GLUE

Predictions = dict[str, np.ndarray]
COUNT = re.compile(r"[\w-]+\.tsv: (missing|\d+ rows after the header, expected \d+)")
LINE = re.compile(r"[^\n]+?(:\d+)?: [^\n]+")


def fabricated(seed: int = 0) -> Predictions:
    """Return predictions for all files from random logits `(N, C)`; some scores of STS-B are out of range."""
    rng = np.random.default_rng(seed)
    logits = {name: rng.normal(2.5, 2, (file.rows, len(file.labels) or 1)) for name, file in FILES.items()}
    return {name: of.argmax(1) if FILES[name].labels else of[:, 0].astype(np.float32) for name, of in logits.items()}


def pack(path: Path, members: dict[str, bytes], change: Callable[[ZipInfo], object] | None = None) -> Path:
    """Write a zip archive of these members; `change` edits the directory entry of the last one."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        if change:
            change(archive.infolist()[-1])
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a submission of full size."""
    folder = tmp_path_factory.mktemp("whole")
    write(fabricated(), folder)
    return folder


@pytest.fixture(scope="module")
def members(whole: Path) -> dict[str, bytes]:
    """All files of a submission but the long QQP.tsv."""
    return {name: (whole / name).read_bytes() for name in FILES if name != "QQP.tsv"}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch") / "some.zip"


ProblemsOf = Callable[[str, bytes], list[str]]


@pytest.fixture
def problems_of(members: dict[str, bytes], tmp_path: Path) -> ProblemsOf:
    """List the problems of one file in a zip archive that is correct but for the missing QQP.tsv."""

    def problems_of(name: str, data: bytes) -> list[str]:
        problems = check(pack(tmp_path / "one.zip", {**members, name: data}))
        return [problem for problem in problems if problem != "QQP.tsv: missing"]

    return problems_of


def test_a_submission_of_full_size_is_accepted_in_a_second(whole: Path) -> None:
    for path in (whole / ZIP, whole):
        start = time.process_time()
        assert check(path) == []
        assert time.process_time() - start < 2  # 0.3 measured; twice a second for a busy machine


def test_the_files_and_their_rows_are_those_of_glue() -> None:
    assert [(file.name, file.rows) for file in FILES.values()] == [
        ("CoLA.tsv", 1063), ("SST-2.tsv", 1821), ("MRPC.tsv", 1725), ("STS-B.tsv", 1379), ("QQP.tsv", 390965),
        ("MNLI-m.tsv", 9796), ("MNLI-mm.tsv", 9847), ("QNLI.tsv", 5463), ("RTE.tsv", 3000), ("WNLI.tsv", 146),
        ("AX.tsv", 1104),
    ]  # fmt: skip
    hidden = {(task, split) for task, of in GLUE.items() for split in of.hidden} | {("mnli", AX)}
    assert {(file.task, file.split) for file in FILES.values()} == hidden
    for file in FILES.values():
        classes = GLUE[file.task].classes
        assert file.labels in (classes, tuple(str(number) for number in range(len(classes))))


@pytest.mark.parametrize("name", FILES)
def test_classes_are_written_with_the_names_of_the_leaderboard(name: str, tmp_path: Path) -> None:
    labels = {
        **dict.fromkeys(["MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv"], ("entailment", "neutral", "contradiction")),
        **dict.fromkeys(["QNLI.tsv", "RTE.tsv"], ("entailment", "not_entailment")),
        "STS-B.tsv": ("0.000", "1.000"),
    }.get(name, ("0", "1"))
    write({name: np.arange(len(labels))}, tmp_path)
    rows = "".join(f"{number}\t{label}\n" for number, label in enumerate(labels))
    assert (tmp_path / name).read_bytes().decode() == f"index\tprediction\n{rows}"


def test_numbers_are_clipped_and_have_three_decimals(tmp_path: Path) -> None:
    write({"STS-B.tsv": np.array([-1, -0.0, 1.23456, 4.9996, 7.5], dtype=np.float32)}, tmp_path)
    lines = (tmp_path / "STS-B.tsv").read_text().splitlines()[1:]
    assert lines == ["0\t0.000", "1\t0.000", "2\t1.235", "3\t5.000", "4\t5.000"]


def test_the_same_predictions_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    path = write(dict(reversed(fabricated().items())), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / ZIP
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([*FILES, ZIP])
    assert path.read_bytes() == (whole / ZIP).read_bytes()
    with ZipFile(path) as archive:
        assert archive.namelist() == list(FILES)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("Cola.tsv", [0], "a submission has no file 'Cola.tsv'; did you mean CoLA.tsv"),
        ("CoLA.tsv", [0, 1, 2], "CoLA.tsv: prediction 2 is 2, expected a class of 0 to 1"),
        ("AX.tsv", [0, -1], "AX.tsv: prediction 1 is -1, expected a class of 0 to 2"),
        ("RTE.tsv", [0.0, 0.5], "RTE.tsv: prediction 1 is 0.5, expected a class of 0 to 1"),
        ("RTE.tsv", [float("nan")], "RTE.tsv: prediction 0 is nan, expected a class of 0 to 1"),
        ("STS-B.tsv", [0.1, float("inf")], "STS-B.tsv: prediction 1 is inf, expected a finite number"),
        ("QNLI.tsv", ["entailment"], "QNLI.tsv: predictions are <U10 (1,), expected numbers (N,)"),
        ("MRPC.tsv", [[0.2, 0.8]], "MRPC.tsv: predictions are float64 (1, 2), expected numbers (N,)"),
    ],
)
def test_invalid_predictions_are_an_error_and_nothing_is_written(
    name: str, values: list[Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        write({"WNLI.tsv": np.array([0]), name: np.array(values)}, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="file: cannot write there: File exists"):
        write({"WNLI.tsv": np.array([0])}, tmp_path / "file")
    (tmp_path / "WNLI.tsv").mkdir()
    with pytest.raises(SourceError, match="cannot write there: Is a directory"):
        write({"WNLI.tsv": np.array([0])}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["WNLI.tsv", "file"]


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        ("WNLI.tsv", b"index\t", b"id\t", "1: the header is 'id\\tprediction', expected 'index\\tprediction'"),
        ("WNLI.tsv", b"index", b"\xef\xbb\xbfindex", "1: the header is '\\ufeffindex\\tprediction', expected"),
        ("WNLI.tsv", b"\n7\t", b"\n8\t", "9: the index is '8', expected 7"),
        ("WNLI.tsv", b"\n7\t", b"\n07\t", "9: the index is '07', expected 7"),
        ("WNLI.tsv", b"\n7\t", b"\n7\t0\t", "9: 3 columns, expected 2"),
        ("WNLI.tsv", b"\n7\t", b"\n7,", "9: 1 column, expected 2"),
        ("WNLI.tsv", b"\n7\t", b"\n7\tNA", "9: 'NA@' is not a label; known: 0, 1"),
        ("WNLI.tsv", b"\n7\t", b"\n7\t\xe2\x80\xa8", "9: '\\u2028@' is not a label; did you mean @?"),
        ("WNLI.tsv", b"\n7\t", b"\n7\t\xff", "9: not UTF-8: the byte 0xff"),
        ("RTE.tsv", b"\n7\t", b"\n7\tnon_", "9: 'non_@' is not a label; did you mean"),
        ("STS-B.tsv", b"\n7\t", b"\n7\t9", "9: '9@' is not between 0 and 5"),
        ("STS-B.tsv", b"\n7\t", b"\n7\t-1", "9: '-1@' is not between 0 and 5"),
        ("STS-B.tsv", b"\n7\t", b"\n7\tabc", "9: 'abc@' is not a number"),
        ("STS-B.tsv", b"\n7\t", b"\n7\t0_", "9: '0_@' is not a number"),
    ],
)
def test_each_problem_is_reported_with_its_line(
    name: str, before: bytes, after: bytes, message: str, members: dict[str, bytes], problems_of: ProblemsOf
) -> None:
    """`@` stands for the prediction in the row."""
    prediction = members[name].decode().splitlines()[8].split("\t")[1]
    (problem,) = problems_of(name, members[name].replace(before, after, 1))
    assert problem.startswith(f"{name}:{message}".replace("@", prediction))


@pytest.mark.parametrize("text", ["nan", "NaN", "-inf", "Infinity"])
def test_numbers_that_are_not_finite_are_reported(text: str, problems_of: ProblemsOf) -> None:
    rows = "".join(f"{index}\t{text if index == 1 else 2}\n" for index in range(1379))
    assert problems_of("STS-B.tsv", f"{HEADER}\n{rows}".encode()) == [f"STS-B.tsv:3: {text!r} is not finite"]


@pytest.mark.parametrize("text", ["0", "5", "5.", ".5", "5.000", "1e-3", "+2.5", "-0.0"])
def test_numbers_may_have_any_usual_notation(text: str, problems_of: ProblemsOf) -> None:
    assert problems_of("STS-B.tsv", HEADER.encode() + b"".join(f"\n{i}\t{text}".encode() for i in range(1379))) == []


def test_missing_extra_and_misplaced_rows_are_reported(members: dict[str, bytes], problems_of: ProblemsOf) -> None:
    header, *rows = members["CoLA.tsv"].splitlines(keepends=True)
    short = "CoLA.tsv: 1062 rows after the header, expected 1063"
    assert problems_of("CoLA.tsv", header + b"".join(rows[:-1])) == [short]
    assert problems_of("CoLA.tsv", header + b"".join([*rows, b"1063\t0\n", b"x"])) == [
        "CoLA.tsv: 1065 rows after the header, expected 1063"
    ]
    assert problems_of("CoLA.tsv", b"".join([header, *rows, b"\n"])) == [
        "CoLA.tsv: 1064 rows after the header, expected 1063"
    ]
    assert problems_of("CoLA.tsv", header) == ["CoLA.tsv: 0 rows after the header, expected 1063"]
    assert problems_of("CoLA.tsv", b"") == [
        f"CoLA.tsv:1: the header is '', expected {HEADER!r}",
        short.replace("1062", "0"),
    ]
    assert problems_of("CoLA.tsv", b"".join([header, rows[1], rows[0], *rows[2:]])) == [
        "CoLA.tsv:2: the index is '1', expected 0", "CoLA.tsv:3: the index is '0', expected 1",
    ]  # fmt: skip
    assert problems_of("CoLA.tsv", b"".join([header, *rows[:3], *rows[4:]])) == [
        short,
        *[f"CoLA.tsv:{index + 2}: the index is '{index + 1}', expected {index}" for index in range(3, 7)],
        "CoLA.tsv: ... and 1055 more",
    ]
    assert problems_of("CoLA.tsv", b"".join([header, b"\n", *rows[1:]])) == ["CoLA.tsv:2: an empty line"]


def test_five_problems_of_a_file_are_listed_and_the_others_counted_quickly(whole: Path, tmp_path: Path) -> None:
    wrong = (whole / "QQP.tsv").read_bytes().replace(b"\t0\n", b"\tno\n").replace(b"\t1\n", b"\tyes\n")
    start = time.process_time()
    problems = [p for p in check(pack(tmp_path / "a.zip", {"QQP.tsv": wrong})) if not p.endswith(": missing")]
    assert time.process_time() - start < 2
    *five, rest = problems
    assert [re.sub("no'|yes'", "@'", problem) for problem in five] == [
        f"QQP.tsv:{line}: '@' is not a label; known: 0, 1" for line in range(2, 7)
    ]
    assert rest == f"QQP.tsv: ... and {390965 - 5} more"


def test_a_long_prediction_is_cut_in_the_message(members: dict[str, bytes], problems_of: ProblemsOf) -> None:
    for name in ("STS-B.tsv", "MNLI-m.tsv"):
        (problem,) = problems_of(name, members[name].replace(b"\n0\t", b"\n0\t" + b"7" * 1_000_000, 1))
        assert len(problem) < 200


@pytest.mark.parametrize("change", [lambda data: data.replace(b"\n", b"\r\n"), lambda data: data.removesuffix(b"\n")])
def test_windows_line_ends_and_a_missing_last_one_are_accepted(
    change: Callable[[bytes], bytes], members: dict[str, bytes], tmp_path: Path
) -> None:
    path = pack(tmp_path / "a.zip", {name: change(data) for name, data in members.items()})
    assert check(path) == ["QQP.tsv: missing"]


def test_files_may_be_in_one_folder_of_the_archive(members: dict[str, bytes], tmp_path: Path) -> None:
    inside = {f"mine/{name}": data for name, data in members.items()}
    apple = {"__MACOSX/mine/._CoLA.tsv": b"x", "mine/": b""}
    assert check(pack(tmp_path / "a.zip", {**apple, **inside})) == ["QQP.tsv: missing"]
    strewn = {**inside, "other/WNLI.tsv": b""}
    assert len(check(pack(tmp_path / "b.zip", strewn))) == len(FILES) + 5 + 1
    for folder in ("..", "a/b", ""):
        deep = {f"{folder}/{name}": data for name, data in members.items()}
        assert "CoLA.tsv: missing" in check(pack(tmp_path / "c.zip", deep))


def test_missing_and_unexpected_files_are_named(members: dict[str, bytes], tmp_path: Path) -> None:
    renamed = {"cola.tsv" if name == "CoLA.tsv" else name: data for name, data in members.items()}
    path = pack(tmp_path / "a.zip", {**renamed, "read\nme.txt": b""})
    assert check(path) == [
        "CoLA.tsv: missing",
        "QQP.tsv: missing",
        "cola.tsv: unexpected file; did you mean CoLA.tsv?",
        "'read\\nme.txt': unexpected file; known: CoLA.tsv, QQP.tsv",
    ]
    many = {f"{number}.txt": b"" for number in range(9)}
    assert check(pack(tmp_path / "b.zip", {**members, **many}))[-2:] == [
        "4.txt: unexpected file; known: QQP.tsv", "b.zip: ... and 4 more unexpected files",
    ]  # fmt: skip


def test_a_file_without_a_name_is_unexpected(tmp_path: Path) -> None:
    """A damaged archive can hold one; `ZipInfo.is_dir` raises IndexError for it before Python 3.12."""
    path = pack(tmp_path / "a.zip", {"xx": b""})
    path.write_bytes(path.read_bytes().replace(b"xx", b"\0x"))
    assert check(path)[-1].startswith("'': unexpected file")


def test_a_file_that_occurs_twice_is_named(members: dict[str, bytes], tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", members)
    with ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("CoLA.tsv", b"")
    assert check(path) == ["QQP.tsv: missing", "CoLA.tsv: occurs more than once"]


def test_a_folder_is_checked_like_a_zip(members: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in {**members, ".hidden": b"", ZIP: b"", "notes.txt": b""}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "__MACOSX").mkdir()
    assert check(tmp_path) == ["QQP.tsv: missing", "notes.txt: unexpected file; known: QQP.tsv"]
    (tmp_path / "QQP.tsv").mkdir()
    with pytest.raises(UsageError, match=r"QQP\.tsv is not a file$"):
        check(tmp_path)


def encrypted(info: ZipInfo) -> None:
    info.flag_bits |= 1


def enormous(info: ZipInfo) -> None:
    info.file_size = 64 * 2**20 + 1


def broken(info: ZipInfo) -> None:
    info.CRC ^= 1


def exotic(info: ZipInfo) -> None:
    info.compress_type = ZIP_BZIP2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (encrypted, "a.zip: WNLI.tsv is encrypted"),
        (enormous, "a.zip: WNLI.tsv has 67,108,865 bytes, more than 67,108,864"),
        (exotic, "a.zip: WNLI.tsv is compressed by method 12, expected deflate or none"),
        (broken, "a.zip: not a zip archive, or a damaged one: Bad CRC-32 for file 'WNLI.tsv'"),
    ],
)
def test_a_member_that_cannot_be_read_is_an_error(
    change: Callable[[ZipInfo], None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        check(pack(tmp_path / "a.zip", {"WNLI.tsv": b"x" * 99}, change))
    assert str(refused.value).endswith(message)


def test_a_member_is_not_unpacked_beyond_its_announced_size(tmp_path: Path) -> None:
    def small(info: ZipInfo) -> None:
        info.file_size = 10

    with pytest.raises(UsageError, match="Bad CRC-32"):
        check(pack(tmp_path / "a.zip", {"WNLI.tsv": b"0" * 10**7}, small))


def test_a_member_that_ends_before_its_announced_size_is_an_error(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("WNLI.tsv", b"")
        archive.infolist()[0].compress_size = archive.infolist()[0].file_size = 1000
    with pytest.raises(UsageError, match=r"or a damaged one: (it ends early|Overlapped entries)"):
        check(tmp_path / "a.zip")


def test_a_path_that_is_not_a_zip_archive_is_an_error(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("index\tprediction\n")
    (tmp_path / "half.zip").write_bytes((whole / ZIP).read_bytes()[:5000])
    for name in ("text.zip", "half.zip"):
        with pytest.raises(UsageError, match=rf"{name}: not a zip archive, or a damaged one: File is not a zip file$"):
            check(tmp_path / name)
    for path in (tmp_path / "none.zip", Path("/dev/null")):
        with pytest.raises(SourceError, match=rf"{path}: no such file or folder$"):
            check(path)
    with pytest.raises(SourceError, match="cannot be read: File name too long"):
        check(tmp_path / ("x" * 300))
    (tmp_path / "WNLI.tsv").touch()
    with (tmp_path / "WNLI.tsv").open("r+b") as file:
        file.truncate(64 * 2**20 + 1)  # no bytes on the disk
    with pytest.raises(UsageError, match=r"WNLI\.tsv has 67,108,865 bytes"):
        check(tmp_path)


@pytest.mark.process
def test_torch_is_not_imported() -> None:
    code = "import sys, harness.runs.glue_submission; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def problems_or_error(path: Path) -> list[str]:
    """Return the problems of a submission, or the message of the error that ends the check."""
    try:
        problems = check(path)
    except ZooError as error:
        problems = [str(error)]
    assert all(LINE.fullmatch(problem) for problem in problems)
    return problems


@given(data=st.binary())
def test_any_bytes_as_an_archive_give_problems_or_an_error(data: bytes, scratch: Path) -> None:
    scratch.write_bytes(data)
    assert problems_or_error(scratch)


def small_zip() -> bytes:
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        archive.writestr("CoLA.tsv", b"index\tprediction\n0\t1\n")
        archive.writestr("mine/ä.txt", b"")
    return packed.getvalue()


SMALL = small_zip()


@given(
    changes=st.dictionaries(st.integers(0, len(SMALL) - 1), st.integers(0, 255), min_size=1, max_size=4),
    end=st.integers(0, len(SMALL)) | st.just(len(SMALL)),
)
def test_any_damage_to_an_archive_gives_problems_or_an_error(changes: dict[int, int], end: int, scratch: Path) -> None:
    data = bytearray(SMALL)
    for at, byte in changes.items():
        data[at] = byte
    scratch.write_bytes(data[:end])
    assert problems_or_error(scratch)


PARTS = [b"index\tprediction", b"\n", b"\r\n", b"\t", b"0", b"1", b"2", b"entailment", b"nan", b"1e999", b"NA", b"\xff"]
ANY = st.binary() | st.lists(st.sampled_from(PARTS)).map(b"".join)


@given(data=ANY, name=st.sampled_from(sorted(FILES)))
def test_any_bytes_as_a_file_give_problems(data: bytes, name: str, scratch: Path) -> None:
    problems = check(pack(scratch, {name: data}))
    assert all(LINE.fullmatch(problem) for problem in problems)
    assert 1 <= sum(problem.startswith(name) for problem in problems) <= 6
    assert f"{name}: missing" not in problems


def of_any_size() -> Iterator[st.SearchStrategy[tuple[str, np.ndarray]]]:
    for file in FILES.values():
        numbers = st.integers(0, len(file.labels) - 1) if file.labels else st.floats(allow_nan=False, width=32)
        finite = numbers.filter(np.isfinite)
        yield st.tuples(st.just(file.name), st.lists(finite).map(np.array))


@given(predictions=st.lists(st.one_of(*of_any_size())).map(dict))
def test_written_files_are_accepted_except_for_their_number_of_rows(predictions: Predictions, scratch: Path) -> None:
    path = write(predictions, scratch.parent)
    problems = check(path)
    assert all(COUNT.fullmatch(problem) for problem in problems)
    assert len(problems) == sum(len(predictions.get(name, ())) != file.rows for name, file in FILES.items())
