"""Sign by sigstore.dev with the identity of a job, and check such a signature. They need the optional package sigstore.

Signing asks Fulcio for a certificate and writes a line into Rekor, a public log. Checking needs neither: it uses the
roots of trust that the package sigstore comes with or has downloaded.
"""

from pathlib import Path
from typing import Any

from harness.attestation.envelope import PAYLOAD_TYPE, parse_json, read_file
from harness.attestation.packed_runs import DamagedError
from harness.attestation.verify import Attestation, statement_problems, versions_note
from zoo.errors import IntegrityError, SourceError, first_line
from zoo.safe_text import one_line

try:
    from sigstore.dsse import Statement
    from sigstore.models import Bundle, ClientTrustConfig
    from sigstore.oidc import IdentityToken, detect_credential
    from sigstore.sign import SigningContext
    from sigstore.verify import Verifier
    from sigstore.verify.policy import Identity, UnsafeNoOp
except ImportError:  # an optional dependency that only signatures of sigstore need
    Bundle = None

KEY = "dsseEnvelope"
"""The key of a bundle that holds the envelope."""
NAMES, ISSUER = "2.5.29.17", "1.3.6.1.4.1.57264.1.1"
"""The extensions of a certificate that name the identity, and who issued it to sigstore."""


def is_bundle(path: Path) -> bool:
    """Return whether a file is a bundle of sigstore. Raise SourceError if it cannot be read."""
    try:
        return KEY in parse_json(read_file(path))
    except DamagedError:
        return False


def sign_with_sigstore(payload: bytes) -> str:
    """Return a bundle with a statement, signed with the identity of this job.

    Raises:
        SourceError: The package sigstore is missing, this job has no identity, or sigstore.dev does not answer.
    """
    _require_sigstore()
    try:
        token = detect_credential()
        text = None if token is None else _sign(payload, token)
    except Exception as error:  # errors of the network, of the identity and of sigstore have no common base
        raise SourceError(f"sigstore did not sign: {type(error).__name__}: {first_line(error)}") from None
    if text is None:
        raise SourceError(
            "this job has no identity that sigstore can certify; run it in GitHub Actions with the permission"
            " 'id-token: write', or sign with --key"
        )
    return text


def _sign(payload: bytes, token: str) -> str:
    context = SigningContext.from_trust_config(ClientTrustConfig.production())
    with context.signer(IdentityToken(token)) as signer:
        text: str = signer.sign_dsse(Statement(payload)).to_json()
    return text


def verify_bundle(path: Path, identity: str | None, issuer: str | None) -> Attestation:
    """Return the attestation in a bundle of sigstore after every check, offline.

    Args:
        path: The file.
        identity: The identity that must have signed; None for any.
        issuer: Who must have issued the identity.

    Raises:
        IntegrityError: Something was changed, or the signer is another.
        SourceError: The package sigstore is missing.
    """
    _require_sigstore()
    content = read_file(path)
    try:
        bundle = Bundle.from_json(content.decode("utf-8"))
        policy = UnsafeNoOp() if identity is None else Identity(identity=identity, issuer=issuer)
        payload_type, payload = Verifier.production(offline=True).verify_dsse(bundle, policy)
    except Exception as error:  # sigstore and pydantic raise many kinds for a damaged bundle
        raise IntegrityError(f"{path}: sigstore: {type(error).__name__}: {first_line(error)}") from None
    if payload_type != PAYLOAD_TYPE:
        raise IntegrityError(f"{path}: payloadType is {payload_type[:100]!r}, not {PAYLOAD_TYPE!r}")
    try:
        statement = parse_json(payload)
    except DamagedError as error:
        raise IntegrityError(f"{path}: {error}") from None
    if problems := statement_problems(statement):
        raise IntegrityError(f"{path}: {'; '.join([*problems, *versions_note(statement)])}")
    signed_by = identity or _certified(bundle.signing_certificate)
    return Attestation(statement=statement, signer=None, identity=signed_by, is_trusted=identity is not None)


def _certified(certificate: Any) -> str:
    """Return the identity in a certificate of sigstore, and who issued it."""
    found = {extension.oid.dotted_string: extension.value for extension in certificate.extensions}
    names = ", ".join(str(name.value) for name in found.get(NAMES, ())) or "an unknown identity"
    issuer = found[ISSUER].value.decode("utf-8", "replace") if ISSUER in found else "an unknown issuer"
    return one_line(f"{names}, issued by {issuer}")


def _require_sigstore() -> None:
    if Bundle is None:
        raise SourceError("--sigstore needs the package sigstore: pip install sigstore")
