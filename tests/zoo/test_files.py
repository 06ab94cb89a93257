"""Files are written completely or not at all."""

import errno
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from zoo.error_translation import translate_errors
from zoo.errors import SourceError
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


class _FullDisk(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, _: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "fill",
    [
        lambda: _FullDisk().write(b"x"),
        lambda: torch.save({"x": torch.ones(1000)}, _FullDisk()),  # type: ignore[arg-type]
        lambda: _raise(SafetensorError("I/O error: No space left on device (os error 28)")),
        lambda: _raise(OSError(errno.EDQUOT, "Disk quota exceeded")),
    ],
    ids=["a file", "torch", "safetensors", "quota"],
)
def test_a_full_disk_is_reported_with_the_file_whatever_a_library_makes_of_it(
    fill: Callable[[], object], tmp_path: Path
) -> None:
    path = tmp_path / "x.pt"
    with pytest.raises(SourceError, match=rf"^run: {path}: No space left on device$"), translate_errors("run"):  # noqa: SIM117
        with replacing(path):
            fill()
    with (
        pytest.raises(SourceError, match=r"^run: (No space left|Disk quota)"),
        translate_errors("run"),
    ):
        fill()
    assert not list(tmp_path.iterdir())
