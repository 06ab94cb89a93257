"""Recipes from tables of timm's results."""

from pathlib import Path

import pytest

from zoo.claims.counts import counts_of
from zoo.errors import UsageError
from zoo.recipes.schema import Recipe, load_recipe
from zoo.suites.generated import GeneratedSuite
from zoo.suites.timm_results import TABLES, UNSUPPORTED_TABLES, timm_suite

HEAD = "model,top1,top1_err,top5,top5_err,param_count,img_size,crop_pct,interpolation\n"
OTHER_ORDER = "model,img_size,top1,top1_err,top5,top5_err,param_count,crop_pct,interpolation,top1_diff,rank_diff\n"


def suite(*rows: str, name: str = "timm", head: str = HEAD) -> GeneratedSuite:
    return timm_suite(name, "\n".join([head.strip(), *rows]).encode(), "table.csv")


def recipe(made: GeneratedSuite, folder: Path, number: int = 0) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(made.entries[number].recipe, encoding="utf-8")
    return load_recipe(path)


def row(name: str = "resnet18.tv_in1k", top1: str = "69.752", size: str = "224", crop: str = "0.875") -> str:
    return f"{name},{top1},30.248,89.072,10.928,11.69,{size},{crop},bilinear"


def test_a_row_becomes_a_recipe_of_the_hub(tmp_path: Path) -> None:
    made = recipe(suite(row()), tmp_path)
    assert made.name == "timm-resnet18.tv_in1k-224"
    assert made.weights == "hub:timm/resnet18.tv_in1k"
    assert made.model.use == "timm.create_model"
    assert made.model.args == {"model_name": "resnet18.tv_in1k", "pretrained": False}
    published = made.task.args["preprocessing"]
    assert published.args == {
        "of": "hub:timm/resnet18.tv_in1k", "size": 224, "crop_pct": 0.875, "interpolation": "bilinear",
    }  # fmt: skip
    others = {key: value for key, value in made.task.args.items() if key != "preprocessing"}
    assert others == {"data": "data:ilsvrc2012", "classes": 1000, "val": "val"}
    first, fifth = made.claims
    assert (first.value, first.decimals, first.n, fifth.value) == (0.69752, 5, 50_000, 0.89072)
    assert "34,876 of 50,000" in first.source


def test_the_order_of_columns_and_further_columns_do_not_matter(tmp_path: Path) -> None:
    made = suite("vgg11.tv_in1k,224,15.723,84.278,30.451,69.549,132.86,0.875,bilinear,-53.3,-11", name="timm-sketch",
                 head=OTHER_ORDER)  # fmt: skip
    assert recipe(made, tmp_path).task.args["preprocessing"].args["size"] == 224


def test_thousands_of_millions_are_read() -> None:
    made = suite('eva_giant_patch14_560.m30m_ft_in22k_in1k,89.786,10.214,98.992,1.008,"1,014.45",560,1.000,bicubic')
    assert made.entries[0].facts["params"] == 1014.45
    assert made.entries[0].facts["megabytes"] == 4057.8


def test_a_model_at_several_sizes_and_crops_has_unique_names() -> None:
    made = suite(row(), row(size="288"), row(size="320"), row(size="320", crop="0.95"), row(size="320", crop="0.95"))
    names = [entry.name.removeprefix("timm-resnet18.tv_in1k-") for entry in made.entries]
    assert names == ["224", "288", "320-crop0.875", "320-crop0.95", "320-crop0.95-row2"]


def test_a_value_that_was_rounded_twice_still_means_one_count(tmp_path: Path) -> None:
    made = suite("vgg11.tv_in1k,15.723,84.278,30.451,69.549,132.86,224,0.875,bilinear", name="timm-sketch")
    first, fifth = recipe(made, tmp_path).claims  # 8,001 of 50,889 is 15.72246 %, or 15.7225 %, or 15.723 %
    assert list(counts_of(first.value or 0, first.decimals or 0, first.n or 0)) == [8001]
    assert "rounds twice, to 15.723" in first.source
    assert fifth.value == 0.30451
    assert "twice" not in fifth.source


def test_further_decimals_of_a_table_are_kept(tmp_path: Path) -> None:
    made = suite("vgg11.tv_in1k,15.7225,84.2775,30.45059,69.549,132.86,224,0.875,bilinear", name="timm-sketch")
    first, fifth = recipe(made, tmp_path).claims
    assert [(claim.value, claim.decimals) for claim in (first, fifth)] == [(0.157225, 6), (0.3045059, 7)]
    assert "twice" not in first.source


@pytest.mark.parametrize("name", TABLES)
def test_every_count_is_found_from_its_printed_value(name: str, tmp_path: Path) -> None:
    n = TABLES[name].n
    for count in (1, 2, 3, n // 7, n // 3, n // 2 + 1, n - 1, n):
        made = suite(row(top1=f"{round(round(100 * count / n, 4) + 1e-9, 3):.3f}"), name=name)
        first, _ = recipe(made, tmp_path).claims if made.entries else (None, None)
        if first is not None:  # top-5 of this row is a count for some tables only
            assert list(counts_of(first.value or 0, 5, n)) == [count]


def test_the_classes_of_imagenetv2_are_the_numbers_of_its_folders(tmp_path: Path) -> None:
    made = recipe(suite("a.b,82.2,17.8,96.29,3.71,11.69,336,1.000,bicubic", name="timm-imagenetv2"), tmp_path)
    assert made.task.args["classes"] == list(range(1000))  # sorted as texts, 10 would come before 2
    assert {claim.split for claim in made.claims} == {"imagenetv2-matched-frequency-format-val"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(name="../../x"), "'../../x' is not the name of a model"),
        (row(name=""), "'' is not the name of a model"),
        (row(top1="-"), "top1 '-' is not a number"),
        (row(top1="nan"), "top1 'nan' is not a number"),
        (row(top1="169.752"), "top1 '169.752' is not a number above 0 and at most 100"),
        (row(top1="69.753"), r"69\.753 % is no share of 50,000 images"),
        (row(top1="73.1525"), r"73\.1525 % is no share of 50,000 images"),
        (row(size="2x4"), "img_size '2x4' is not a number"),
        (row(size="224.5"), "img_size '224.5' is not a whole number"),
        (row(crop="0"), "crop_pct '0' is not a number"),
        (row().replace("bilinear", "random"), "interpolation 'random' is unknown"),
        ("resnet18.tv_in1k,69.752", "interpolation None is unknown"),
    ],
)
def test_a_row_that_cannot_be_read_is_reported_with_its_line(bad: str, reason: str) -> None:
    made = suite(row(), bad)
    assert len(made.entries) == 1
    with pytest.raises(AssertionError, match=f"^table.csv:3: {reason}"):
        raise AssertionError(made.unsupported[0].reason)


def test_tables_without_a_task_are_listed_with_a_reason() -> None:
    assert {item.name for item in suite(row()).unsupported} == {*UNSUPPORTED_TABLES}
    assert all(item.reason for item in suite(row()).unsupported)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"model,top1\n", b"\xff\xfe\x00"])
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(UsageError, match=r"table\.csv.*not a table of timm's results"):
        timm_suite("timm", content, "table.csv")
