"""DSSE envelopes: a payload, its type and one signature. Bytes have one spelling, so no byte can change unnoticed.

DSSE 1.0: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

import base64
import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.attestation.keys import PrivateKey
from harness.attestation.packed_runs import DamagedError
from harness.records.digests import read_json
from zoo.errors import IntegrityError, SourceError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_BYTES = 300_000_000
"""The most bytes of an attestation."""
_KEYS, _SIGNATURE_KEYS = {"payload", "payloadType", "signatures"}, {"keyid", "sig"}


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A signed payload."""

    payload: bytes
    keyid: str
    """The SHA-256 of the public key; it is not signed."""
    signature: bytes

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        return pre_authentication_encoding(self.payload)

    def text(self) -> str:
        """Return the content of the file."""
        signature = {"keyid": self.keyid, "sig": _encode(self.signature)}
        data = {"payload": _encode(self.payload), "payloadType": PAYLOAD_TYPE, "signatures": [signature]}
        return json.dumps(data, indent=1) + "\n"


def sign(payload: bytes, key: PrivateKey) -> Envelope:
    """Return a payload signed with a key."""
    signature = key.sign(pre_authentication_encoding(payload))
    return Envelope(payload=payload, keyid=key.public.fingerprint, signature=signature)


def pre_authentication_encoding(payload: bytes) -> bytes:
    """Return `DSSEv1 LENGTH(type) type LENGTH(payload) payload`, which is signed."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def read_file(path: Path) -> bytes:
    """Return the bytes of an attestation. Raise SourceError if it cannot be read, IntegrityError if it is too long."""
    try:
        if path.exists() and not path.is_file():
            raise SourceError(f"{path}: not a file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    if len(content) > MAX_BYTES:
        raise IntegrityError(f"{path}: longer than the {MAX_BYTES:,} bytes that an attestation may have")
    return content


def parse_json(content: bytes) -> Mapping[str, Any]:
    """Return the JSON object of an attestation. Raise DamagedError for other content."""
    try:
        data = read_json(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise DamagedError("not an attestation: not text in UTF-8") from None
    except ValueError as error:
        raise DamagedError(_why_no_json(content, str(error))) from None
    if not isinstance(data, dict):
        raise DamagedError("not an attestation: not a JSON object")
    return data


def _why_no_json(content: bytes, reason: str) -> str:
    if not content.strip():
        return "not an attestation, or truncated: it is empty"
    if not content.removeprefix(codecs.BOM_UTF8).lstrip().startswith((b"{", b"[")):
        return "not an attestation, which is a JSON file that `zoo attest sign` writes"
    is_more = reason.startswith("Extra data")
    return (
        "more than one JSON document follows each other" if is_more else f"not an attestation, or truncated: {reason}"
    )


def parse_envelope(content: bytes) -> Envelope:
    """Return the envelope in the content of a file. Raise DamagedError for any other content."""
    data = parse_json(content)
    _check_keys("the envelope", data, _KEYS)
    if data["payloadType"] != PAYLOAD_TYPE:
        raise DamagedError(f"payloadType is {str(data['payloadType'])[:100]!r}, not {PAYLOAD_TYPE!r}")
    signatures = data["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise DamagedError("the envelope must have exactly one signature")
    _check_keys("the signature", signatures[0], _SIGNATURE_KEYS)
    envelope = Envelope(
        payload=_decode("payload", data["payload"]),
        keyid=str(signatures[0]["keyid"]),
        signature=_decode("sig", signatures[0]["sig"]),
    )
    if envelope.text().encode() != content:
        raise DamagedError(
            "the file is not spelled as zoo writes it: other spaces, line ends or order of keys, or a byte order mark"
        )
    return envelope


def _check_keys(what: str, data: Any, expected: set[str]) -> None:
    if not isinstance(data, dict):
        raise DamagedError(f"{what} is not a JSON object")
    if missing := sorted(expected - set(data)):
        raise DamagedError(f"{what} has no {missing[0]!r}")
    if extra := sorted(set(data) - expected):
        raise DamagedError(f"{what} has the unknown key {extra[0][:100]!r}")


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(name: str, text: Any) -> bytes:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    if not data or _encode(data) != text:
        raise DamagedError(f"{name} is not base64")
    return data
