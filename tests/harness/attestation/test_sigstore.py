"""Signatures of sigstore, with a stand-in for its package: signing needs sigstore.dev and an identity."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from harness.attestation import sigstore_bundle
from harness.attestation.envelope import PAYLOAD_TYPE
from harness.attestation.sigstore_bundle import ISSUER as ISSUER_EXTENSION
from harness.attestation.sigstore_bundle import is_bundle, sign_with_sigstore, verify_bundle
from harness.attestation.statement import statement
from harness.runs.judged_runs import judged_runs
from tests.helpers.project import ROOT
from zoo.errors import IntegrityError, SourceError

RECORDS = ROOT / "leaderboard" / "records"
RUN = next((RECORDS / "digits-resnet8").glob("weights-*")) / "record.json"
WORKFLOW, ISSUER = "https://github.com/me/repo/.github/workflows/ci.yml", "https://token.actions.githubusercontent.com"


class _Signer:
    def sign_dsse(self, payload: bytes) -> Any:
        envelope = {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE, "signatures": []}
        return SimpleNamespace(to_json=lambda: json.dumps({"mediaType": "bundle", "dsseEnvelope": envelope}))


class _Context:
    @contextmanager
    def signer(self, token: str) -> Iterator[_Signer]:
        yield _Signer()


class _Bundle(dict[str, Any]):
    @property
    def signing_certificate(self) -> x509.Certificate:
        """A certificate as Fulcio makes them."""
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
        dates = (datetime(year, 1, 1, tzinfo=UTC) for year in (2026, 2027))
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, *dates)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(WORKFLOW)])
        issuer = x509.UnrecognizedExtension(x509.ObjectIdentifier(ISSUER_EXTENSION), ISSUER.encode())
        return builder.add_extension(names, True).add_extension(issuer, False).sign(key, hashes.SHA256())


class _Verifier:
    def __init__(self, *, offline: bool) -> None:
        assert offline

    def verify_dsse(self, bundle: Any, policy: dict[str, Any]) -> tuple[str, bytes]:
        if policy and policy["identity"] != WORKFLOW:
            raise ValueError(f"identity is not {policy['identity']}")
        return bundle["payloadType"], base64.b64decode(bundle["payload"])


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions of sigstore 4 that are used, without its services."""
    functions = {
        "detect_credential": lambda: "token",
        "IdentityToken": lambda token: token,
        "ClientTrustConfig": SimpleNamespace(production=lambda: None),
        "SigningContext": SimpleNamespace(from_trust_config=lambda _: _Context()),
        "Statement": bytes,
        "Bundle": SimpleNamespace(from_json=lambda text: _Bundle(json.loads(text)["dsseEnvelope"])),
        "Verifier": SimpleNamespace(production=_Verifier),
        "Identity": dict,
        "UnsafeNoOp": dict,
    }
    for name, function in functions.items():
        monkeypatch.setattr(sigstore_bundle, name, function, raising=False)


@pytest.fixture
def bundle(stand_in: None, tmp_path: Path) -> Path:
    payload = statement(judged_runs([RUN], None, folder=RECORDS, evidence=RECORDS), None)
    path = tmp_path / "bundle.json"
    path.write_text(sign_with_sigstore(payload))
    return path


def test_a_bundle_is_trusted_if_its_identity_is_the_expected_one(bundle: Path) -> None:
    found = verify_bundle(bundle, WORKFLOW, ISSUER)
    assert (is_bundle(bundle), found.is_trusted, found.identity) == (True, True, WORKFLOW)


def test_without_an_identity_the_certified_one_is_named(bundle: Path) -> None:
    found = verify_bundle(bundle, None, None)
    assert (found.is_trusted, found.identity) == (False, f"{WORKFLOW}, issued by {ISSUER}")


def test_a_bundle_of_somebody_else_is_refused(bundle: Path) -> None:
    with pytest.raises(IntegrityError, match=r"sigstore: ValueError: identity is not me@example\.org"):
        verify_bundle(bundle, "me@example.org", ISSUER)


def test_the_content_of_a_bundle_is_computed_again(bundle: Path) -> None:
    data = json.loads(bundle.read_text())
    payload = base64.b64decode(data["dsseEnvelope"]["payload"]).replace(b'"verdict":"reproduced"', b'"verdict":"x"')
    data["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    bundle.write_text(json.dumps(data))
    with pytest.raises(IntegrityError, match="the predictions give reproduced"):
        verify_bundle(bundle, WORKFLOW, ISSUER)


def test_a_job_without_an_identity_is_refused(stand_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigstore_bundle, "detect_credential", lambda: None)
    with pytest.raises(SourceError, match=r"no identity that sigstore can certify.*--key"):
        sign_with_sigstore(b"{}")


def test_an_error_of_sigstore_is_one_line(stand_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(sigstore_bundle, "ClientTrustConfig", SimpleNamespace(production=fail))
    with pytest.raises(SourceError, match=r"sigstore did not sign: ConnectionError: no network$"):
        sign_with_sigstore(b"{}")


def test_without_sigstore_the_error_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigstore_bundle, "Bundle", None)
    with pytest.raises(SourceError, match="pip install sigstore"):
        sign_with_sigstore(b"{}")
    with pytest.raises(SourceError, match="pip install sigstore"):
        verify_bundle(tmp_path / "x", None, None)


def test_the_real_package_refuses_a_made_up_bundle(tmp_path: Path) -> None:
    pytest.importorskip("sigstore")
    (tmp_path / "bundle.json").write_text('{"dsseEnvelope": {}}')
    with pytest.raises(IntegrityError, match="sigstore: "):
        verify_bundle(tmp_path / "bundle.json", None, None)
