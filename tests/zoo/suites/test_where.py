"""The expressions of `--where`."""

from typing import Any

import pytest

from zoo.errors import UsageError
from zoo.suites.where import MAX_LENGTH, parse_where

FACTS: dict[str, Any] = {
    "name": "timm-resnet18.tv_in1k-224", "model": "resnet18.tv_in1k", "params": 11.69, "img_size": 224,
    "interpolation": "bilinear", "quantized": False, "crop_pct": None, "claims": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("params<30 and img_size<=224", True),
        ("params < 11.69 or img_size == 224", True),
        ("10 < params < 12", True),
        ("not (params < 30)", False),
        ("params > -1", True),
        ("'resnet' in model", True),
        ("model in ('resnet18.tv_in1k', 'vgg11')", True),
        ("img_size not in [224, 288]", False),
        ("interpolation != 'bilinear'", False),
        ("quantized", False),
        ("not quantized", True),
        ("quantized == False", True),
        ("  params<30", True),
    ],
)
def test_an_expression_selects_by_the_facts_of_an_entry(text: str, fits: bool) -> None:
    assert parse_where(text)(FACTS) is fits


@pytest.mark.parametrize(
    "text", ["crop_pct < 1", "crop_pct >= 1", "crop_pct != 1", "megabytes < 1", "not (crop_pct < 1)"]
)
def test_an_unknown_value_fits_no_comparison(text: str) -> None:
    assert not parse_where(text)(FACTS)


@pytest.mark.parametrize(
    ("text", "fits"),
    [("crop_pct < 1 or params < 30", True), ("not (crop_pct < 1 and params > 30)", True), ("crop_pct < 1 < 2", False)],
)
def test_an_unknown_value_does_not_matter_if_another_one_decides(text: str, fits: bool) -> None:
    assert parse_where(text)(FACTS) is fits


@pytest.mark.parametrize(
    "text",
    [
        "", "params <", "params < 30 &&", "params", "1", "params + 1 < 3", "__import__('os').system('x')", "f(params)",
        "params.real < 3", "params < (lambda: 3)()", "[params for params in (1,)]", "params is 3", "(params := 3)",
        "params < 1 if claims else 2", "params < b'x'", "params < None", "x" * (MAX_LENGTH + 1), "(" * 900,
        "not " * 240 + "params", "params < f'{claims}'", "params\0",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--where"):
        parse_where(text)


def test_an_unknown_column_is_reported_with_all_columns() -> None:
    with pytest.raises(UsageError, match=r"no column 'parms'; did you mean params\?; the columns are name, suite"):
        parse_where("parms < 30")


def test_numbers_are_not_compared_with_texts() -> None:
    with pytest.raises(UsageError, match="compares a number with a text"):
        parse_where("params < '30'")(FACTS)
