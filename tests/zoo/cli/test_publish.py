"""leaderboard and submit."""

import json
import shutil
from pathlib import Path

import pytest

from harness.records.digests import record_digest
from tests.helpers.project import CHECKOUT_FOLDERS, ROOT, TINY, Write, Zoo


@pytest.mark.slow
def test_an_outdated_leaderboard_is_exit_1(tmp_path: Path, zoo_process: Zoo) -> None:
    root = tmp_path / "checkout"
    for folder in CHECKOUT_FOLDERS:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.rmtree(next((root / "leaderboard" / "records" / "digits-resnet8").glob("retrain-seed0-*")))
    completed = zoo_process("leaderboard", "--check", root=root)
    assert completed.code == 1
    assert "starter.md is out of date; run: zoo leaderboard" in completed.err


def test_a_run_of_a_checkout_with_uncommitted_changes_is_not_added(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(TINY, ("name: tiny", "name: digits-resnet8")), "--out", "run").code == 0
    record = json.loads(Path("run/record.json").read_text())
    record["environment"] |= {"commit": "0" * 40, "dirty": True}
    record["record_sha256"] = record_digest(record)
    Path("run/record.json").write_text(json.dumps(record))
    completed = zoo("leaderboard", "--add", "run")
    assert completed.code == 2
    assert "uncommitted changes" in completed.err


def test_a_run_of_a_users_own_recipe_is_not_added(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(), "--out", "out").code == 0
    completed = zoo("leaderboard", "--add", "out")
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert "'tiny'" in completed.err
    assert "shipped" in completed.err


@pytest.mark.parametrize("words", [[], ["--out", "out", "--check", "x.zip"]])
def test_submit_either_writes_or_checks(words: list[str], zoo: Zoo) -> None:
    completed = zoo("submit", *words)
    assert (completed.code, completed.err) == (2, "pass entries and --out DIR, or only --check ZIP\n")


def test_only_tasks_of_glue_are_submitted(zoo: Zoo) -> None:
    completed = zoo("submit", "digits-resnet8", "--out", "out")
    assert (completed.code, completed.err) == (2, "digits-resnet8: its task digits is not a task of GLUE\n")
