"""list, show, check."""

import json
import re

from tests.helpers.project import Write, Zoo


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


def test_check_prints_ok_on_stdout_and_problems_on_stderr(zoo: Zoo, recipe_file: Write) -> None:
    good, bad = recipe_file(), recipe_file("- a\n", name="bad.yaml")
    completed = zoo("check", good, bad)
    assert (completed.code, completed.out) == (2, f"{good}: ok\n")
    assert completed.err.startswith(f"{bad}:1:1: ")
    data = json.loads(zoo("check", good, bad, "--json").out)["recipes"]
    assert [(recipe["ok"], len(recipe["problems"])) for recipe in data] == [(True, 0), (False, 1)]


def test_a_large_file_that_is_not_a_recipe_is_not_printed_as_a_whole(zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo("check", recipe_file("text " * 9_000))
    assert completed.code == 2
    assert len(completed.err) < 400


def test_a_lock_that_does_not_exist_is_reported(zoo: Zoo) -> None:
    completed = zoo("check", "digits-resnet8", "--lock", "configs/zoo.lokc")
    assert (completed.code, len(completed.lines)) == (0, 1)
    assert "configs/zoo.lokc: no such lock yet: files are trusted on first use" in completed.err
