"""docs/speed.md is what the numbers beside it say, and the README quotes it."""

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def report() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        yield importlib.import_module("benchmarks.speed.report")


def test_the_tables_are_those_of_the_numbers(report: Any) -> None:
    numbers = json.loads((ROOT / "docs" / "speed.json").read_text(encoding="utf-8"))
    assert PAGE.partition(report.BEGIN)[2].partition(report.END)[0].strip() == report.page(numbers).strip()
    assert all("+" not in case["commit"] for case in numbers["cases"].values()), "measured in a changed checkout"


def test_the_readme_quotes_the_tables() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = re.findall(r"\b\d+\.\d\d\b", readme.partition("**Speed.**")[2].partition("**Many processes.**")[0])
    assert quoted
    assert not [figure for figure in quoted if figure not in PAGE]
