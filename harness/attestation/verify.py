"""Check an attestation from its file alone: signature, digests, scores and verdict."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.attestation.envelope import Envelope, parse_envelope, parse_json, read_file
from harness.attestation.keys import PublicKey
from harness.attestation.packed_runs import DamagedError, is_safe_entry, unpack_runs
from harness.attestation.statement import (
    EVIDENCE,
    PREDICATE,
    SCHEMA,
    STATEMENT,
    judgement_data,
    subject_problems,
    test_result,
)
from harness.records.check import verify_together
from harness.records.digests import RECORD_DIGEST, json_digest, read_json
from harness.records.record import FILE, RecordedRun
from harness.records.recorded_claims import claim_from
from harness.runs.judged_runs import JudgedRuns
from zoo.errors import IntegrityError, UsageError, ZooError
from zoo.tracebacks import project_version

OTHER_CONTENT = "the signature is not that of this content by this key"
_EVIDENCE_KEYS = {
    "schema", "zoo", "entry", "mode", "claims", "claims_sha256", "judgements", "verdict", "looks", "family", "runs",
    "recorded", "signer",
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
    if of_signature or of_content:
        raise IntegrityError(f"{path}: {'; '.join([*of_signature, *of_content])}")
    return Attestation(statement=statement, signer=signer, is_trusted=expected is not None)


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
    runs = [*evidence["runs"], *evidence["recorded"]]
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
    recorded = unpack_runs(evidence["recorded"], folder / "recorded" / entry)
    if not runs or any(record.entry != entry or record.identity.mode != evidence["mode"] for _, record in runs):
        raise DamagedError(f"the records are not runs of {entry!r} in the stated mode")
    yield from subject_problems(statement["subject"], runs)
    for run in (*runs, *recorded):
        yield from _run_problems(run, folder)
    yield from _judgement_problems(statement, evidence, runs, folder / "recorded")


def _judgement_problems(
    statement: Mapping[str, Any], evidence: Mapping[str, Any], runs: tuple[RecordedRun, ...], recorded: Path
) -> Iterator[str]:
    """Yield the claims, verdicts and results that differ from those that the predictions give."""
    if json_digest(evidence["claims"]) != evidence["claims_sha256"]:
        yield "the claims were changed: they have another digest"
    looks, family = evidence["looks"], evidence["family"]
    numbers = [*(looks.values() if isinstance(looks, dict) else [None]), family]
    if not isinstance(evidence["claims"], list) or not all(type(number) is int and number > 0 for number in numbers):
        raise DamagedError("the claims, looks or family are not what zoo writes")
    judged = JudgedRuns(
        runs=runs, claims=tuple(map(claim_from, evidence["claims"])), evidence=recorded, looks=looks, family=family
    )
    found = list(map(judgement_data, judged.judgements))
    stated = evidence["judgements"] if isinstance(evidence["judgements"], list) else []
    by = f"; signed by zoo {str(evidence['zoo'])[:40]}, checked by {project_version()}"
    for computed, signed in zip(found, [*stated, *[None] * len(found)], strict=False):
        if computed != signed:
            verdict = signed.get("verdict") if isinstance(signed, dict) else None
            yield (
                f"{computed['claim']}: stated as {str(verdict)[:40]} and {_measured(signed)}, but the predictions give"
                f" {computed['verdict']} and {computed['measured']}{by}"
            )
    if len(stated) != len(found):
        yield f"{len(stated)} judgements for {len(found)} claims"
    if evidence["verdict"] != judged.verdict:
        yield f"the verdict is stated as {str(evidence['verdict'])[:40]}, but the predictions give {judged.verdict}{by}"
    expected = test_result(judged)
    for name in sorted({*expected, *statement["predicate"]} - {EVIDENCE}):
        if statement["predicate"].get(name) != expected.get(name):
            yield f"the predicate's {name[:100]!r} is not that of the judgements"


def _measured(judgement: Any) -> str:
    return str(judgement.get("measured"))[:40] if isinstance(judgement, dict) else "nothing"


def _run_problems(run: RecordedRun, folder: Path) -> Iterator[str]:
    try:
        verify_together([run])
    except (IntegrityError, UsageError) as error:
        yield str(error).replace(f"{folder}/runs/", "").replace(f"{folder}/", "")
