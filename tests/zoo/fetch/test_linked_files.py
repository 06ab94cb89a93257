"""A cache entry that links to a user's own file: the file is neither moved, nor deleted, nor overwritten."""

import os
from pathlib import Path

import pytest

from tests.helpers.hub_client import MODEL, MODEL_FILES, OTHER, WEIGHTS, MakeSources, read
from tests.helpers.hub_server import LocalHub
from tests.helpers.plain_server import DATA, MakeUrlSources
from zoo.errors import IntegrityError


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file of the user's own."""
    path = tmp_path / "models" / "mine.safetensors"
    path.parent.mkdir()
    return path


def _link(entry: Path, mine: Path, content: bytes) -> None:
    mine.write_bytes(content)
    entry.unlink()
    entry.symlink_to(mine)


def test_a_linked_file_with_the_right_bytes_is_used_where_it_is(hub_sources: MakeSources, mine: Path) -> None:
    entry = hub_sources().fetch(MODEL).path / "model.safetensors"
    _link(entry, mine, WEIGHTS)
    assert read(hub_sources().fetch(MODEL)) == MODEL_FILES
    assert entry.resolve() == mine
    assert mine.read_bytes() == WEIGHTS


def test_a_linked_file_with_other_bytes_is_refused_and_kept(hub_sources: MakeSources, mine: Path) -> None:
    entry = hub_sources().fetch(MODEL).path / "model.safetensors"
    _link(entry, mine, OTHER)
    with pytest.raises(IntegrityError, match=rf"leads to {mine}, outside of this cache.*delete the link"):
        hub_sources().fetch(MODEL)
    assert mine.read_bytes() == OTHER
    entry.unlink()
    assert read(hub_sources().fetch(MODEL)) == MODEL_FILES


@pytest.mark.parametrize("content", [WEIGHTS, OTHER], ids=["right", "other"])
def test_a_file_elsewhere_in_the_cache_folder_is_kept_too(
    content: bytes, hub_sources: MakeSources, tmp_path: Path
) -> None:
    entry = hub_sources().fetch(MODEL).path / "model.safetensors"
    mine = tmp_path / "cache" / "mine.safetensors"
    _link(entry, mine, content)
    try:
        hub_sources().fetch(MODEL)
    except IntegrityError:
        assert content == OTHER
    assert mine.read_bytes() == content


def test_a_linked_snapshot_folder_is_kept(hub_sources: MakeSources, tmp_path: Path) -> None:
    snapshot = hub_sources().fetch(MODEL).path
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in MODEL_FILES:
        (elsewhere / name).write_bytes(OTHER)
    snapshot.rename(tmp_path / "before")
    snapshot.symlink_to(elsewhere)
    with pytest.raises(IntegrityError, match="outside of this cache"):
        hub_sources().fetch(MODEL)
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == dict.fromkeys(MODEL_FILES, OTHER)


def test_partial_files_in_a_linked_folder_are_kept(hub_sources: MakeSources, hub: LocalHub, tmp_path: Path) -> None:
    blobs = hub_sources().fetch(MODEL).path.parents[1] / "blobs"
    elsewhere = tmp_path / "elsewhere"
    blobs.rename(elsewhere)
    blobs.symlink_to(elsewhere)
    (elsewhere / "mine.incomplete").write_bytes(b"mine")
    hub_sources().fetch(MODEL)
    assert (elsewhere / "mine.incomplete").read_bytes() == b"mine"


def test_a_hard_linked_file_keeps_its_bytes(hub_sources: MakeSources, mine: Path) -> None:
    entry = hub_sources().fetch(MODEL).path / "model.safetensors"
    mine.write_bytes(OTHER)
    entry.unlink()
    os.link(mine, entry)
    assert read(hub_sources().fetch(MODEL)) == MODEL_FILES
    assert mine.read_bytes() == OTHER


def test_a_linked_download_is_kept(url: str, url_sources: MakeUrlSources, mine: Path) -> None:
    path = url_sources().fetch(url).path
    _link(path, mine, DATA[::-1])
    with pytest.raises(IntegrityError, match=r"outside of zoo's downloads.*delete the link"):
        url_sources().fetch(url)
    assert mine.read_bytes() == DATA[::-1]
    assert path.is_symlink()
