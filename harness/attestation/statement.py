"""The in-toto statement about judged runs: its subjects, and a test result with the evidence for it.

Statement v1: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
Test result v0.1: https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.attestation.keys import PublicKey
from harness.attestation.packed_runs import pack_run
from harness.judging.judge_runs import claim_name
from harness.judging.types import Judgement, Verdict
from harness.records.digests import json_digest
from harness.records.record import FILE, Record, RecordedRun
from harness.records.recorded_claims import claim_data
from harness.runs.judged_runs import JudgedRuns, recorded_runs
from zoo.fetch.checksum import sha256
from zoo.text_tables import finite
from zoo.tracebacks import project_version

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
EVIDENCE = "zoo_evidence"
"""The field of the predicate with everything that is needed to compute score and verdict again."""
SCHEMA = 1
RESULTS: Mapping[Verdict, str] = {"reproduced": "PASSED", "inconclusive": "WARNED", "not-reproduced": "FAILED"}
"""The test result of a verdict. A claim with another verdict was not tested."""
LISTS = {"PASSED": "passedTests", "WARNED": "warnedTests", "FAILED": "failedTests"}


def statement(judged: JudgedRuns, signer: PublicKey | None) -> bytes:
    """Return the payload of an attestation; equal runs and claims give equal bytes.

    Args:
        judged: The runs.
        signer: The public key of a local key; None for a certificate of sigstore.

    Raises:
        UsageError: The predictions are too large.
    """
    evidence = {
        "schema": SCHEMA,
        "zoo": project_version(),
        "entry": judged.record.entry,
        "mode": judged.record.identity.mode,
        "claims": list(map(claim_data, judged.claims)),
        "claims_sha256": json_digest(list(map(claim_data, judged.claims))),
        "judgements": list(map(judgement_data, judged.judgements)),
        "verdict": judged.verdict,
        "times_judged": dict(judged.looks),
        "family": judged.family,
        "runs": [pack_run(*run) for run in judged.runs],
        "reference_records": [pack_run(*run) for run in recorded_runs(judged)],
        "signer": signer.text if signer else None,
    }
    predicate = {**test_result(judged), EVIDENCE: evidence}
    data = {
        "_type": STATEMENT, "subject": subjects(judged.runs), "predicateType": PREDICATE, "predicate": predicate,
    }  # fmt: skip
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def test_result(judged: JudgedRuns) -> dict[str, Any]:
    """Return the fields of in-toto's test result: PASSED, WARNED or FAILED, and the claims with each result."""
    tests: dict[str, list[str]] = {name: [] for name in LISTS.values()}
    for judgement in judged.judgements:
        if judgement.verdict in RESULTS:
            tests[LISTS[RESULTS[judgement.verdict]]].append(claim_name(judgement.claim))
    digests = dict.fromkeys(record.identity.digest for _, record in judged.runs)
    configuration = [{"name": f"{judged.record.entry}: recipe", "digest": {"sha256": digest}} for digest in digests]
    result = RESULTS.get(judged.verdict, "WARNED") if judged.verdict else "WARNED"
    return {"result": result, "configuration": configuration, **tests}


def judgement_data(judgement: Judgement) -> dict[str, Any]:
    """Return the numbers of a judgement that do not depend on the wording of reports."""
    return {
        "claim": claim_name(judgement.claim), "claimed": judgement.claim.value, "verdict": judgement.verdict,
        "measured": judgement.measured, "values": list(map(finite, judgement.values)),
    }  # fmt: skip


def subjects(runs: Iterable[RecordedRun]) -> list[dict[str, Any]]:
    """Return what the statement is about: weights, rows of data, records and predictions, each with its SHA-256."""
    found: dict[str, str] = {}
    for path, record in runs:
        run = record.identity.folder
        found[f"{run}/{FILE}"] = sha256(path)
        found[f"{run}/{_weights_name(path, record)}"] = record.weights
        found |= {f"{run}/{result.predictions['file']}": result.predictions["sha256"] for result in record.results}
        found |= {f"{run}/data/{split}": rows["sha256"] for split, rows in record.identity.sources["data"].items()}
    return [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(found.items())]


def subject_problems(stated: Any, runs: Iterable[RecordedRun]) -> Iterator[str]:
    """Yield how the subjects of a statement differ from those of its records."""
    expected = {subject["name"]: subject["digest"] for subject in subjects(runs)}
    if not isinstance(stated, list) or not all(isinstance(subject, dict) for subject in stated):
        yield "the subjects are not a list of JSON objects"
        return
    names = [str(subject.get("name")) for subject in stated]
    yield from (f"the subject {name!r} is missing" for name in sorted(set(expected) - set(names)))
    for subject, name in zip(stated, names, strict=True):
        if name not in expected:
            yield f"the subject {name[:100]!r} is not one of the records"
        elif subject != {"name": name, "digest": expected[name]}:
            yield f"the SHA-256 of the subject {name!r} is not that of the record, {expected[name]['sha256']}"
    if len(set(names)) < len(names):
        yield "a subject occurs twice"


def _weights_name(path: Path, record: Record) -> str:
    """Return a name for the weights: that of their file in the run's folder, or of their source, or `weights`.

    An imported log has no weights; its digest is that of the names of model and revision.
    """
    if record.imported:
        return "names of model and revision"
    named = {**record.identity.sources["files"], **record.files}
    sources = [name for name, digest in named.items() if digest == record.weights]
    return f"weights:{sources[0]}" if sources else "weights"
