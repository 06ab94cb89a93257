"""fetch and lock."""

import json
from pathlib import Path

import pytest

from tests.helpers.project import Zoo


def test_fetch_lists_the_files_that_entries_need(zoo: Zoo) -> None:
    completed = zoo("fetch", "digits-resnet8", "--json")
    assert completed.code == 0, completed.err
    data = json.loads(completed.out)
    assert data["errors"] == []
    assert [source["needed_for"] for source in data["fetched"]] == ["weights"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ('{"sources": {"hub:a/b": {"files": {"x": {"size": "x"}}}}}', "x: size cannot be 'x'"),
        ('{"sources": {"hub:a/b": {"files": {"x": {"sha256": 7}}}}}', "x: sha256 cannot be 7"),
        ('{"schema": 9, "sources": {}}', "its schema is 9"),
        ('{"endpoints": []}', "own.lock: "),
        ("[", "the lock cannot be read"),
    ],
)
def test_a_damaged_lock_is_exit_5_and_one_line(content: str, name: str, zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "own.lock").write_text(content)
    completed = zoo("check", "digits-resnet8", "--lock", "own.lock")
    assert (completed.code, len(completed.lines)) == (5, 1)
    assert name in completed.err


def test_the_lock_is_checked_against_all_recipes(zoo: Zoo) -> None:
    assert zoo("lock", "--check").out.rstrip().endswith("zoo.lock: ok")
    for words in (["digits-resnet8"], ["--suite", "starter"], ["--update"]):
        completed = zoo("lock", "--check", *words)
        assert (completed.code, len(completed.lines)) == (2, 1)
    assert len(zoo("lock").out.splitlines()) > 40
