"""Keys to sign with."""

import stat
from pathlib import Path

import pytest

from harness.attestation import keys
from harness.attestation.keys import PublicKey, make_key, read_private_key, read_public_key
from zoo.errors import SourceError, UsageError


def test_a_private_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    public = make_key(tmp_path / "a.key")
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    assert read_public_key(tmp_path / "a.key.pub") == read_private_key(tmp_path / "a.key").public == public


@pytest.mark.parametrize("name", ["a.key", "a.key.pub"])
def test_a_key_is_never_overwritten(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="never overwritten"):
        make_key(tmp_path / "a.key")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["mine"]


def test_a_link_to_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="never overwritten"):
        make_key(tmp_path / "a.key")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("content", [b"", b"no key", b"\xff" * 100, b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_file_that_is_no_key_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UsageError, match="not an Ed25519 private key"):
        read_private_key(tmp_path / "x")
    with pytest.raises(UsageError, match="not an Ed25519 public key"):
        read_public_key(tmp_path / "x")


def test_a_private_key_is_no_public_key(tmp_path: Path) -> None:
    make_key(tmp_path / "a.key")
    with pytest.raises(UsageError, match=r"pass the file with the ending \.pub"):
        read_public_key(tmp_path / "a.key")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read_private_key(tmp_path / "none.key")


@pytest.mark.parametrize("text", ["", "a", "AAAA", "not base64!", "é"])
def test_other_texts_are_no_public_keys(text: str) -> None:
    assert PublicKey.from_text(text) is None


def test_without_cryptography_the_error_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "ed25519", None)
    with pytest.raises(SourceError, match="pip install cryptography"):
        make_key(tmp_path / "a.key")
