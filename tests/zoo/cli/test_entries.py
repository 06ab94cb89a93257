"""list, show, check."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.helpers.project import TINY, Write, Zoo


def test_list_and_show_describe_every_entry(zoo: Zoo) -> None:
    assert len(json.loads(zoo("list", "--json").out)["entries"]) >= 6
    shown = json.loads(zoo("show", "digits-resnet8", "--json").out)
    assert shown["recipe"]["model"]["use"] == "cifar_resnet"
    assert shown["recipe"]["model"]["depth"] == 8
    assert re.fullmatch("[0-9a-f]{64}", shown["digest"])


def test_list_shows_readable_recipes_and_reports_the_others(zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo("list", "digits-resnet8", recipe_file("- a\n", name="bad.yaml"))
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert "bad.yaml:1:1: " in completed.err
    assert "digits-resnet8" in completed.out


def test_the_list_fits_80_columns_and_marks_entries_without_weights(zoo: Zoo) -> None:
    lines = zoo("list").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "  digits-resnet14  " in "\n".join(lines)
    (trained,) = [line for line in lines if line.startswith("  minilm-l6-mrpc ")]
    assert trained.endswith(" acc. 0.7755 (+1) *")


def test_the_list_says_what_entries_need_before_they_can_run_here(zoo: Zoo, recipe_file: Write) -> None:
    local = recipe_file(TINY.replace("model:", "weights: file:nowhere.pt\nmodel:"))
    names = ["digits-resnet8", "bert-base-uncased-mrpc", "ilsvrc2012-resnet18_from_resnet34"]
    needs = {e["entry"]: e["needs"] for e in json.loads(zoo("list", *names, local, "--here", "--json").out)["entries"]}
    assert needs == {
        "digits-resnet8": [],
        "bert-base-uncased-mrpc": ["downloads, unless cached: bert-base-uncased-mrpc, glue"],
        "ilsvrc2012-resnet18_from_resnet34": [
            "downloads, unless cached: ilsvrc2012-resnet18_from_resnet34.pt",
            "the data set ilsvrc2012: --data ilsvrc2012=DIR",
        ],
        "tiny": ["the file nowhere.pt"],
    }
    assert "    needs the data set ilsvrc2012: --data ilsvrc2012=DIR\n" in zoo("list", *names, "--here").out


def test_check_counts_many_good_recipes_and_says_that_it_read_no_data(zoo: Zoo) -> None:
    assert zoo("check", "--suite", "glue").out == "27 recipes: ok\nData files were not read.\n"


def test_check_reports_local_files_that_do_not_exist(zoo: Zoo, recipe_file: Write) -> None:
    missing = "w" * 300
    path = recipe_file(f"weights: file:{missing}\n{TINY}")
    completed = zoo("check", path)
    where = f"there is no such file in {path.parent}"
    assert (completed.code, completed.out, completed.err) == (4, "", f"{path}:1:1: file:{missing}: {where}\n")
    assert zoo("check", recipe_file(f"weights: file:{path}\n{TINY}", name="found.yaml")).code == 0


def test_check_prints_ok_on_stdout_and_problems_on_stderr(zoo: Zoo, recipe_file: Write) -> None:
    good, bad = recipe_file(), recipe_file("- a\n", name="bad.yaml")
    completed = zoo("check", good, bad)
    assert (completed.code, completed.out) == (2, f"{good}: ok\n")
    assert completed.err.startswith(f"{bad}:1:1: ")
    data = json.loads(zoo("check", good, bad, "--json").out)["recipes"]
    assert [(recipe["ok"], len(recipe["problems"])) for recipe in data] == [(True, 0), (False, 1)]


def test_an_unknown_entry_with_the_name_of_a_recipe_file_leads_to_the_file(zoo: Zoo, recipe_file: Write) -> None:
    recipe_file(name="ours.yml")
    assert zoo("check", "ours").err == "no entry 'ours'; there is a recipe file ours.yml here: write ours.yml\n"


def test_a_large_file_that_is_not_a_recipe_is_not_printed_as_a_whole(zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo("check", recipe_file("text " * 9_000))
    assert completed.code == 2
    assert len(completed.err) < 400


@pytest.mark.parametrize("pattern", ["me/vit-*", "hf://me/vit-?", "recipes/*.yaml"])
def test_a_pattern_of_models_or_files_leads_to_the_options_for_many_models(zoo: Zoo, pattern: str) -> None:
    completed = zoo("verify", pattern)
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert f"{pattern!r}: a pattern selects entries by their names, and no models of the Hub; use" in completed.err


def test_show_and_doctor_read_the_data_that_a_suite_is_made_from(zoo: Zoo, tmp_path: Path) -> None:
    table = tmp_path / "tables" / "results-imagenet.csv"
    table.parent.mkdir()
    table.write_text(
        "model,top1,top5,param_count,img_size,crop_pct,interpolation\nm.a,69.752,89.072,11.69,224,0.875,bilinear\n"
    )
    data = ("--data", f"timm={table.parent}")
    listed = zoo("list", "timm-m.a-224", *data, "--json")
    assert [entry["entry"] for entry in json.loads(listed.out)["entries"]] == ["timm-m.a-224"]
    assert "name: timm-m.a-224" in zoo("show", "timm-m.a-224", *data).out
    assert "timm-m.a-224" in zoo("doctor", "timm-m.a-224", *data).out
    (hint,) = re.findall(r"`zoo (suite .*)` says why", zoo("list", "--suite", "timm", *data).err)
    assert "1 entry, 2 claims" in zoo(*shlex.split(hint)).out


def test_a_lock_that_does_not_exist_is_reported(zoo: Zoo) -> None:
    completed = zoo("check", "digits-resnet8", "--lock", "configs/zoo.lokc")
    assert (completed.code, len(completed.lines)) == (0, 1)
    assert "configs/zoo.lokc: no such lock yet: files are trusted on first use" in completed.err
