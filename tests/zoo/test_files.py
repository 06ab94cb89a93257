"""Files are written completely or not at all."""

from pathlib import Path

import pytest

from zoo.files import partial_file, replacing, write_atomically


def test_a_file_is_replaced_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "x"
    write_atomically(path, "old")
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_after_an_exception_the_old_file_stays_and_no_partial_one(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), replacing(path) as partial:
        partial.write_text("half \N{SNOWMAN}", encoding="ascii")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_partial_file_can_get_its_name_last(tmp_path: Path) -> None:
    with partial_file(tmp_path / "x") as partial, partial_file(tmp_path / "x") as other:
        assert partial != other
        partial.write_text("content")
        partial.replace(tmp_path / "x-7")
    assert [path.name for path in tmp_path.iterdir()] == ["x-7"]
