"""leaderboard and submit."""

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.project import ROOMS, ROOT, TINY, Write, Zoo


def test_an_outdated_leaderboard_is_exit_1(tmp_path: Path, zoo_process: Zoo) -> None:
    root = tmp_path / "checkout"
    for room in ROOMS:
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.rmtree(next((root / "leaderboard" / "records" / "digits-resnet8").glob("retrain-seed0-*")))
    ended = zoo_process("leaderboard", "--check", root=root)
    assert ended.code == 1
    assert "README.md is out of date; run: zoo leaderboard" in ended.err


def test_a_run_of_a_checkout_with_uncommitted_changes_is_not_added(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(TINY, ("name: tiny", "name: digits-resnet8")), "--out", "run").code == 0
    record = json.loads(Path("run/record.json").read_text())
    record["environment"] |= {"commit": "0" * 40, "dirty": True}
    Path("run/record.json").write_text(json.dumps(record))
    ended = zoo("leaderboard", "--add", "run")
    assert ended.code == 2
    assert "uncommitted changes" in ended.err


def test_a_run_of_a_users_own_recipe_is_not_added(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(), "--out", "out").code == 0
    ended = zoo("leaderboard", "--add", "out")
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert "'tiny'" in ended.err
    assert "shipped" in ended.err


@pytest.mark.parametrize("words", [[], ["--out", "out", "--check", "x.zip"]])
def test_submit_either_writes_or_checks(words: list[str], zoo: Zoo) -> None:
    ended = zoo("submit", *words)
    assert (ended.code, ended.err) == (2, "pass entries and --out DIR, or only --check ZIP\n")


def test_only_tasks_of_glue_are_submitted(zoo: Zoo) -> None:
    ended = zoo("submit", "digits-resnet8", "--out", "out")
    assert (ended.code, ended.err) == (2, "digits-resnet8: its task digits is not a task of GLUE\n")
