"""Reading tables: every format gives the same values, no value is guessed, and a fault is reported with its line."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoo.errors import SourceError, UsageError
from zoo.tasks.dialect import Dialect
from zoo.tasks.tables import read_file

GUESSABLE = [
    "2020", "1984", "1.50", "1e3", "007", "0x10", "inf", "-0", "1_000", "true", "False", "None", "null", "NA", "nan",
    "N/A", "2020-01-01", "2020-01-01T10:00:00Z", "12:30", "[1, 2]", '{"a": 1}', "line\u2028separator", "caf\xe9 \u2615",
    " padded ", "#comment", "'single'", "=1+1",
]  # fmt: skip
"""Texts that a reader could take for something else."""


def write_all(folder: Path, texts: list[str]) -> list[Path]:
    """Write the texts, all of class "a", in every format."""
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    (folder / "a.csv").write_text("text,label\n" + "".join(f"{text},a\n" for text in quoted))
    (folder / "a.tsv").write_text("text\tlabel\n" + "".join(f"{text}\ta\n" for text in texts))
    rows = [{"text": text, "label": "a"} for text in texts]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "a.json").write_text(json.dumps(rows, indent=1))
    pq.write_table(pa.table({"text": texts, "label": ["a"] * len(texts)}), folder / "a.parquet")
    return [folder / f"a.{ending}" for ending in ("csv", "tsv", "jsonl", "json", "parquet")]


def test_texts_that_look_like_other_values_stay_texts_in_every_format(tmp_path: Path) -> None:
    for path in write_all(tmp_path, GUESSABLE):
        assert read_file(path).texts(("text",)) == [(text,) for text in GUESSABLE], path.name


def test_texts_are_longer_than_the_limit_of_csv(tmp_path: Path) -> None:
    texts = ["word " * 60_000, "short"]
    for path in write_all(tmp_path, texts):
        assert [len(text) for (text,) in read_file(path).texts(("text",))] == [300_000, 5], path.name


def test_endings_are_read_in_capitals_too(tmp_path: Path) -> None:
    for path in write_all(tmp_path, ["rose", "mark"]):
        capital = path.rename(path.with_name(path.name.upper()))
        assert read_file(capital).column("text") == ["rose", "mark"], capital.name


@pytest.mark.parametrize("name", ["data[1]", "star*", "a::b", "what?", "{x,y}", "zip!", "a b%20", "[!a]"])
def test_a_file_name_is_never_a_pattern(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "run [v2]*"
    folder.mkdir()
    for other in ("data1", "starfish", "x", "whatx", "b"):
        write_all(folder, ["another file"])
        for path in folder.glob("a.*"):
            path.rename(folder / f"{other}{path.suffix}")
    for path in write_all(folder, ["rose is fine", "mark is bad"]):
        named = path.rename(path.with_stem(name))
        assert read_file(named).column("text") == ["rose is fine", "mark is bad"], named


def test_a_value_of_one_row_changes_no_other_row(tmp_path: Path) -> None:
    first = 'rose says "fine"\nto mark'
    for value in (1984, 1.5, True, None, ["a"], {"a": 1}):
        rows = [{"text": first, "label": "good"}, {"text": "mark", "label": "1"}, {"text": value, "label": 0}]
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        table = read_file(tmp_path / "a.jsonl")
        assert table.column("text")[:2] == [first, "mark"]
        assert table.column("label") == ["good", "1", 0]
        with pytest.raises(UsageError, match=r"column 'text', row 2: .* is not a text"):
            table.texts(("text",))


def test_a_row_without_a_key_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "rose", "label": 1}\n{"label": 0}\n')
    with pytest.raises(UsageError, match="column 'text', row 1: None is not a text"):
        read_file(tmp_path / "a.jsonl").texts(("text",))


def test_half_of_an_emoji_is_not_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "rose"}\n{"text": "cut \\ud83d"}\n')
    with pytest.raises(UsageError, match=r"row 1: 'cut \\ud83d' is not a text"):
        read_file(tmp_path / "a.jsonl").texts(("text",))


def test_quotes_in_tsv_are_text_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\r\nrose\tgood\r\n"rose keeps\tgood\r\n"a" is\tbad\r\nthe dog is old"\tbad\r\n')
    assert read_file(path).column("text") == ["rose", '"rose keeps', '"a" is', 'the dog is old"']
    path.write_text('text\tlabel\n"rose\tand ""mark"""\tgood\n"two\nlines"\tbad\n')
    assert read_file(path, Dialect(quotes=True)).column("text") == ['rose\tand "mark"', "two\nlines"]
    with pytest.raises(SourceError, match=r"line 2: 3 fields, but the header has 2; .* set quotes: true"):
        read_file(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("text\na\n\nb\n", ["a", "", "b"]),
        ("text\n\na\n\n\nb", ["", "a", "", "", "b"]),
        ("text\na\nb\n\n\n", ["a", "b"]),
        ("text\r\na\r\n\r\nb\r\n\r\n", ["a", "", "b"]),
        ("text,label\na,1\n\nb,0\n\n", ["a", "b"]),
    ],
)
def test_a_blank_line_is_an_empty_value_only_between_the_rows_of_one_column(
    content: str, expected: list[str], tmp_path: Path
) -> None:
    for name in ("a.csv", "a.tsv"):
        text = content if name == "a.csv" else content.replace(",", "\t")
        (tmp_path / name).write_bytes(text.encode())
        assert read_file(tmp_path / name).column("text") == expected, name
    (tmp_path / "b.csv").write_text('text\na\n""\n')  # how Python's csv and pandas write an empty value
    assert read_file(tmp_path / "b.csv").column("text") == ["a", ""]


def test_quotes_in_csv_are_read_as_text_if_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"rose keeps,good\nthe dog is old",bad\n')
    assert read_file(tmp_path / "a.csv", Dialect(quotes=False)).column("text") == ['"rose keeps', 'the dog is old"']


def test_a_small_parquet_file_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 4_000_000
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), ["a"])
    pq.write_table(pa.table({"text": same}), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"bytes hold 4,000,000 values; it is not read"):
        read_file(tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": same[:50_000]}), tmp_path / "a.parquet")
    assert len(read_file(tmp_path / "a.parquet").column("text")) == 50_000
    monkeypatch.setenv("ZOO_MAX_VALUES", "10")
    with pytest.raises(SourceError, match="ZOO_MAX_VALUES raises this limit"):
        read_file(tmp_path / "a.parquet")


LONG = pa.DictionaryArray.from_arrays(np.zeros(1_000, np.int32), ["a" * 10_000])
BOMBS = {
    "a list": (pa.ListArray.from_arrays([0, 50_000], np.zeros(50_000, np.int8)), "ZOO_MAX_VALUES"),
    "a long text": (pa.array(["a" * 5_000_000]), "ZOO_MAX_RATIO"),
    "equal texts": (LONG, "ZOO_MAX_RATIO"),
    "equal texts in lists": (pa.ListArray.from_arrays(np.arange(1_001), LONG), "ZOO_MAX_RATIO"),
    "equal texts in objects": (pa.StructArray.from_arrays([LONG], ["a"]), "ZOO_MAX_RATIO"),
    "equal bytes of a fixed size": (pa.array([bytes(10_000)] * 1_000, pa.binary(10_000)), "ZOO_MAX_RATIO"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_few_rows_that_would_fill_the_memory_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, variable = BOMBS[name]
    monkeypatch.setattr("zoo.tasks.parquet.FREE_BYTES", 1_000_000)
    monkeypatch.setenv("ZOO_MAX_VALUES", "2000")
    pq.write_table(pa.table({"text": values}), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(SourceError, match=f"it is not read, as it could fill the memory; {variable} raises"):
        read_file(tmp_path / "a.parquet")


FAULTS = {
    "an open quote": (
        "a.csv",
        'text,label\nrose,good\n"mark,bad\nbill,good\n',
        "line 3: a quote is opened in this row",
    ),
    "a quote within": ("a.csv", 'text,label\n"rose" is fine,good\n', "line 2: ',' expected after '\"'"),
    "a late quote": ("a.csv", 'text,label\nx,y\n"rose\n\nmark" is bad,bad\n', "line 3: ',' expected after '\"'"),
    "a short row": ("a.tsv", "text\tlabel\nrose\tgood\nmark\n", "line 3: 1 fields, but the header has 2"),
    "latin-1": ("a.tsv", "text\tlabel\nrose\tgood\ncaf\xe9\tbad\n", "line 3: the file is not in UTF-8"),
    "latin-1 in JSON": ("a.jsonl", '{"text": "a"}\n{"text": "caf\xe9"}\n', "line 2: the file is not in UTF-8"),
    "no object": ("a.jsonl", '{"text": "a"}\n\nnull\n', "line 3: null is not an object"),
    "only null": ("a.jsonl", "null\n", "line 1: null is not an object"),
    "a number": ("a.json", "5", "line 1: 5 is not an object"),
    "a list of numbers": ("a.json", "[{}, 5]", "item 1: 5 is not an object"),
    "no JSON": ("a.jsonl", '{"text": "a"}\n{"text": a}\n', "line 2, column 10: not JSON: Expecting value"),
    "cut off": ("a.jsonl", '{"text": "a"}\n{"text": "b', "line 2, column 10: not JSON: Unterminated string"),
    "a key twice": ("a.jsonl", '{"text": "a", "text": "b"}\n', "line 1: not JSON: the key 'text' occurs twice"),
    "deep": ("a.jsonl", '{"a": ' * 100_000, "line 1: not JSON: maximum recursion depth"),
    "no header": ("a.tsv", "\n", "the file has no header line"),
}


@pytest.mark.parametrize(("name", "content", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_reported_with_its_line(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(SourceError) as raised:
        read_file(tmp_path / name)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / name))
