"""Ed25519 keys in PEM files. They need the optional package cryptography."""

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zoo.errors import SourceError, UsageError

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
except ImportError:  # an optional dependency that only attestations need
    ed25519 = None

PUBLIC = ".pub"
"""The ending of the public key's file, after the name of the private one."""
KEY_BYTES = 32
MAX_BYTES = 100_000
"""A longer file is no key."""


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key: 32 bytes."""

    raw: bytes

    @classmethod
    def from_text(cls, text: str) -> "PublicKey | None":
        """Return the key that `text` is the base64 of; None for any other text."""
        try:
            key = cls(base64.b64decode(text, validate=True))
        except ValueError:
            return None
        return key if len(key.raw) == KEY_BYTES else None

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the key."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def text(self) -> str:
        """The key in base64."""
        return base64.b64encode(self.raw).decode("ascii")

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Return whether a signature is that of a message by this key. Raise SourceError without cryptography."""
        _require_cryptography()
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class PrivateKey:
    """An Ed25519 private key."""

    key: Any

    @property
    def public(self) -> PublicKey:
        """The public key."""
        return PublicKey(self.key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message: 64 bytes."""
        signature: bytes = self.key.sign(message)
        return signature


def make_key(path: Path) -> PublicKey:
    """Write a new private key, which only its owner can read, and its public key beside it.

    Raises:
        UsageError: One of the files exists.
        SourceError: A file cannot be written, or cryptography is missing.
    """
    _require_cryptography()
    public_path = path.with_name(f"{path.name}{PUBLIC}")
    for file in (path, public_path):
        if os.path.lexists(file):
            raise UsageError(f"{file} exists already; keys are never overwritten: choose another name")
    key = ed25519.Ed25519PrivateKey.generate()
    private_text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_text = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write_new(path, private_text, 0o600)
    _write_new(public_path, public_text, 0o644)
    return PrivateKey(key).public


def read_private_key(path: Path) -> PrivateKey:
    """Return the private key in a PEM file. Raise UsageError for another file, SourceError if it cannot be read."""
    return PrivateKey(_load(path, "private"))


def read_public_key(path: Path) -> PublicKey:
    """Return the public key in a PEM file. Raise UsageError for another file, SourceError if it cannot be read."""
    return PublicKey(_load(path, "public").public_bytes_raw())


def _load(path: Path, kind: Literal["private", "public"]) -> Any:
    _require_cryptography()
    text, is_private = _read(path), kind == "private"
    try:
        key = (
            serialization.load_pem_private_key(text, password=None)
            if is_private
            else serialization.load_pem_public_key(text)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    expected = ed25519.Ed25519PrivateKey if is_private else ed25519.Ed25519PublicKey
    if not isinstance(key, expected):
        hint = "'zoo attest key FILE' makes one" if is_private else f"pass the file with the ending {PUBLIC}"
        raise UsageError(f"{path}: not an Ed25519 {kind} key in PEM without a password; {hint}")
    return key


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise SourceError(f"{path}: not a file")
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
    except FileExistsError:
        raise UsageError(f"{path} exists already; keys are never overwritten: choose another name") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot write there: {error.strerror or error}") from None


def _require_cryptography() -> None:
    if ed25519 is None:
        raise SourceError("attestations need the package cryptography: pip install cryptography")
