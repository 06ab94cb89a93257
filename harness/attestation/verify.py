"""Check an attestation from its file alone: signature, digests, scores and verdict."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.attestation.envelope import Envelope, parse_envelope, parse_json, read_file
from harness.attestation.judgement_checks import judgement_problems
from harness.attestation.keys import PublicKey
from harness.attestation.packed_runs import DamagedError, is_safe_entry, unpack_runs
from harness.attestation.statement import EVIDENCE, PREDICATE, SCHEMA, STATEMENT, subject_problems
from harness.records.check import verify_together
from harness.records.digests import RECORD_DIGEST, read_json
from harness.records.record import FILE, RecordedRun
from zoo.errors import IntegrityError, UsageError, ZooError
from zoo.tracebacks import project_version

OTHER_CONTENT = "the signature is not that of this content by this key"
_EVIDENCE_KEYS = {
    "schema", "zoo", "entry", "mode", "claims", "claims_sha256", "judgements", "verdict", "times_judged", "family",
    "runs", "reference_records", "signer",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Attestation:
    """An attestation whose signature, digests, scores and verdict are right."""

    statement: Mapping[str, Any]
    signer: PublicKey | None
    """The key that signed it; None for a certificate of sigstore."""
    identity: str = ""
    """The identity that a certificate of sigstore is about."""
    is_trusted: bool
    """Whether the signer is the one that the user expects."""

    @property
    def evidence(self) -> Mapping[str, Any]:
        """The evidence in the predicate."""
        evidence: Mapping[str, Any] = self.statement["predicate"][EVIDENCE]
        return evidence

    @property
    def digests(self) -> dict[str, str]:
        """The subjects: name -> SHA-256."""
        return {subject["name"]: subject["digest"]["sha256"] for subject in self.statement["subject"]}


def verify_attestation(path: Path, expected: PublicKey | None = None) -> Attestation:
    """Return a file's attestation after every check.

    Args:
        path: The file.
        expected: The public key of the signer whom the user trusts. Without it the key in the file is used, which
            shows that nothing was changed since somebody signed it, and not who did.

    Raises:
        IntegrityError: Something was changed; the message names everything that does not fit.
        SourceError: The file cannot be read, or a package is missing.
    """
    content = read_file(path)
    try:
        envelope = parse_envelope(content)
        statement = parse_json(envelope.payload)
    except DamagedError as error:
        raise IntegrityError(f"{path}: {error}") from None
    signer = stated_signer(statement)
    of_signature, of_content = list(_signature_problems(envelope, signer, expected)), statement_problems(statement)
    if of_signature == [OTHER_CONTENT] and not of_content:
        of_content = _parts_without_digest(_evidence(statement))
    if of_content and not of_signature:
        of_content += versions_note(statement)
    if of_signature or of_content:
        raise IntegrityError(f"{path}: {'; '.join([*of_signature, *of_content])}")
    return Attestation(statement=statement, signer=signer, is_trusted=expected is not None)


def versions_note(statement: Mapping[str, Any]) -> list[str]:
    """Return a note if a signed statement is of another version of zoo, which may judge otherwise."""
    stated, current = str(_evidence(statement).get("zoo"))[:40], project_version()
    return [f"signed by zoo {stated}, checked by {current}"] if stated != current else []


def stated_signer(statement: Mapping[str, Any]) -> PublicKey | None:
    """Return the public key that a statement says it was signed with, or None."""
    text = _evidence(statement).get("signer")
    return PublicKey.from_text(text) if isinstance(text, str) else None


def statement_problems(statement: Mapping[str, Any]) -> list[str]:
    """Return what in a statement does not fit the rest of it: digests, scores and verdicts are computed again."""
    if statement.get("_type") != STATEMENT or set(statement) != {"_type", "subject", "predicateType", "predicate"}:
        return [f"the payload is not a statement of the type {STATEMENT}"]
    evidence = _evidence(statement)
    if statement["predicateType"] != PREDICATE or set(evidence) != _EVIDENCE_KEYS or evidence["schema"] != SCHEMA:
        return [f"the predicate is not a test result of zoo, {PREDICATE} with {EVIDENCE!r}"]
    with TemporaryDirectory(prefix="zoo-attest-") as folder:
        try:
            return list(_content_problems(statement, evidence, Path(folder)))
        except (
            ValueError,
            ZooError,
        ) as error:  # a claim that is none, UsageError of a record that is none, IntegrityError of a changed one
            return [str(error).replace(f"{folder}/runs/", "").replace(f"{folder}/", "")]


def _evidence(statement: Mapping[str, Any]) -> Mapping[str, Any]:
    predicate = statement.get("predicate")
    evidence = predicate.get(EVIDENCE) if isinstance(predicate, dict) else None
    return evidence if isinstance(evidence, dict) else {}


def _signature_problems(envelope: Envelope, signer: PublicKey | None, expected: PublicKey | None) -> Iterator[str]:
    key = expected or signer
    if key is None:
        yield "the statement does not name the key of its signer; pass --key"
        return
    if expected is not None and signer is not None and signer != expected:
        yield f"signed with the key {signer.fingerprint}, not with the expected {expected.fingerprint}"
    elif envelope.keyid != key.fingerprint:
        yield f"keyid is {envelope.keyid[:100]!r}, but the key is {key.fingerprint}"
    if not key.verifies(envelope.signature, envelope.message):
        yield OTHER_CONTENT


def _parts_without_digest(evidence: Mapping[str, Any]) -> list[str]:
    """Return which records may have been changed although every digest fits: those without a digest of themselves."""
    runs = [*evidence["runs"], *evidence["reference_records"]]
    names = [f"{run['folder']}/{FILE}" for run in runs if RECORD_DIGEST not in read_json(run["record"])]
    if not names:
        return []
    return [
        "all digests and scores in it fit, so if the content was changed, then in a part that has no digest of its own,"
        f" such as {' and '.join(names)} of version 0.1"
    ]


def _content_problems(statement: Mapping[str, Any], evidence: Mapping[str, Any], folder: Path) -> Iterator[str]:
    entry = evidence["entry"]
    if not is_safe_entry(entry):
        raise DamagedError("the entry has no valid name")
    runs = unpack_runs(evidence["runs"], folder / "runs")
    recorded = unpack_runs(evidence["reference_records"], folder / "recorded" / entry)
    if not runs or any(record.entry != entry or record.identity.mode != evidence["mode"] for _, record in runs):
        raise DamagedError(f"the records are not runs of {entry!r} in the stated mode")
    yield from subject_problems(statement["subject"], runs)
    for run in (*runs, *recorded):
        yield from _run_problems(run, folder)
    yield from judgement_problems(statement, evidence, runs, folder / "recorded")


def _run_problems(run: RecordedRun, folder: Path) -> Iterator[str]:
    try:
        verify_together([run])
    except (IntegrityError, UsageError) as error:
        yield str(error).replace(f"{folder}/runs/", "").replace(f"{folder}/", "")
