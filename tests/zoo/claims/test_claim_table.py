"""Claims are read from tables."""

import csv
from pathlib import Path

import pytest

from zoo.claims.claim_table import read_claim_table
from zoo.errors import UsageError


def test_each_row_of_a_table_is_a_claim_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    path.write_text('\ufeffModel,metric,value,n,dataset\na,accuracy,"85.70","10,000",glue\n\nb,f1,0.5,,\n')
    first, second = read_claim_table(path).claims
    assert (first.model, first.metric, first.text, first.n, first.dataset) == ("a", "accuracy", "85.70", 10000, "glue")
    assert (first.mark.line, second.mark.line, second.n) == (2, 4, None)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("accuracy,,", "the row has no value"),
        (",0.5,", "the row has no metric"),
        ("accuracy,0.5,x", "n must be the number of examples, not 'x'"),
        ("accuracy,0.5,0", "n must be the number of examples, not '0'"),
        ("accuracy,0,5,1", "the row has more cells than the header"),
    ],
)
def test_a_row_that_is_no_claim_is_a_problem_and_hides_no_other(tmp_path: Path, row: str, problem: str) -> None:
    path = tmp_path / "claims.csv"
    path.write_text(f"metric,value,n\n{row}\nf1,0.5,10\n")
    found = read_claim_table(path)
    assert str(found.problems[0]).startswith(f"{path}:2:1: {problem}")
    assert [claim.metric for claim in found.claims] == ["f1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"metric,score\n", ":1: a table needs the columns metric and value; this one has metric, score$"),
        (b"metric,value,datset\n", ":1: unknown column 'datset'; did you mean dataset"),
        (b"", ":1: a table needs the columns metric and value; this one is empty$"),
        (b"metric\tvalue\n", "this one has metric\tvalue; separate columns by commas$"),
        (b"metric,value\nx,\xff\n", ":2: not UTF-8"),
    ],
)
def test_a_file_that_is_no_table_of_claims_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "claims.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_claim_table(path)


def test_a_cell_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    path.write_text(f"metric,value\n{'x' * 200_000},1\n")
    limit = csv.field_size_limit(131_072)  # of the whole process; other readers may have raised it
    try:
        with pytest.raises(UsageError, match="not a table: field larger than field limit"):
            read_claim_table(path)
    finally:
        csv.field_size_limit(limit)
