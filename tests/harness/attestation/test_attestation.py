"""Attestations: what is signed, and that every change is refused by name."""

import base64
import copy
import hashlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.attestation import envelope
from harness.attestation.keys import PrivateKey, make_key, read_private_key, read_public_key
from harness.attestation.statement import EVIDENCE, statement
from harness.attestation.verify import verify_attestation
from harness.records.digests import json_digest, record_digest
from harness.records.record import FILE
from harness.runs.judged_runs import JudgedRuns, judged_runs
from tests.helpers.project import ROOT
from zoo.errors import IntegrityError, UsageError

EVIDENCE_FOLDER = ROOT / "leaderboard" / "records"
RUN = next((EVIDENCE_FOLDER / "digits-resnet8").glob("weights-*")) / FILE
NPZ = "predictions-test.npz"
Change = Callable[[dict[str, Any]], object]


def judged(*files: Path) -> JudgedRuns:
    return judged_runs(files or (RUN,), None, folder=EVIDENCE_FOLDER, evidence=EVIDENCE_FOLDER)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> PrivateKey:
    path = tmp_path_factory.mktemp("keys") / "a.key"
    make_key(path)
    return read_private_key(path)


@pytest.fixture(scope="module")
def signed(key: PrivateKey) -> str:
    return envelope.sign(statement(judged(), key.public), key).text()


@pytest.fixture
def attestation(tmp_path: Path, signed: str) -> Path:
    path = tmp_path / "a.intoto.json"
    path.write_text(signed)
    return path


def payload_of(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(base64.b64decode(json.loads(text)["payload"]))
    return data


def with_payload(text: str, payload: bytes) -> str:
    return json.dumps({**json.loads(text), "payload": base64.b64encode(payload).decode()}, indent=1) + "\n"


def changed(text: str, change: Change) -> str:
    """The attestation with a changed statement and the old signature."""
    data = payload_of(text)
    change(data)
    return with_payload(text, json.dumps(data, sort_keys=True, separators=(",", ":")).encode())


def change_array(name: str) -> Change:
    def change(data: dict[str, Any]) -> None:
        files = data["predicate"][EVIDENCE]["runs"][0]["files"]
        arrays = dict(np.load(io.BytesIO(base64.b64decode(files[NPZ]))))
        arrays[name][0] = (arrays[name][0] + 1) % 10
        np.savez_compressed(buffer := io.BytesIO(), **arrays)
        files[NPZ] = base64.b64encode(buffer.getvalue()).decode()

    return change


def change_record(**fields: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        run = data["predicate"][EVIDENCE]["runs"][0]
        run["record"] = json.dumps({**json.loads(run["record"]), **fields}, indent=1, sort_keys=True) + "\n"

    return change


def set_in_evidence(*path: Any, value: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        part = data["predicate"][EVIDENCE]
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = value

    return change


def test_an_attestation_is_intact_and_trusted_with_the_key(attestation: Path, key: PrivateKey) -> None:
    found = verify_attestation(attestation, key.public)
    assert (found.is_trusted, found.signer) == (True, key.public)
    assert found.statement["predicate"]["result"] == "PASSED"
    assert found.statement["predicate"]["passedTests"] == ["accuracy on test (last): 0.9788419"]
    assert found.evidence["verdict"] == "reproduced"


def test_a_change_that_no_digest_covers_names_where_it_can_be(signed: str, key: PrivateKey, tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        run = data["predicate"][EVIDENCE]["reference_records"][0]
        run["record"] = json.dumps({**json.loads(run["record"]), "weights": "0" * 64}, indent=1, sort_keys=True) + "\n"

    (path := tmp_path / "changed.json").write_text(changed(signed, change))
    folder = payload_of(signed)["predicate"][EVIDENCE]["reference_records"][0]["folder"]
    with pytest.raises(
        IntegrityError, match=f"if the content was changed, then in a part .* such as .*{folder}/{FILE}"
    ):
        verify_attestation(path, key.public)


def test_subjects_are_weights_data_predictions_and_record(signed: str) -> None:
    names = [subject["name"].partition("/")[2] for subject in payload_of(signed)["subject"]]
    assert names == ["data/test", NPZ, FILE, "weights:embedded:digits-resnet8.safetensors"]


def test_without_a_key_the_attestation_is_intact_and_not_trusted(attestation: Path, key: PrivateKey) -> None:
    found = verify_attestation(attestation)
    assert (found.is_trusted, found.signer) == (False, key.public)


def test_the_same_runs_and_key_give_the_same_bytes(signed: str, key: PrivateKey) -> None:
    assert envelope.sign(statement(judged(), key.public), key).text() == signed


def test_everything_is_computed_again_within_a_second(attestation: Path, key: PrivateKey) -> None:
    verify_attestation(attestation, key.public)  # imports scikit-learn's metrics
    started = time.process_time()
    verify_attestation(attestation, key.public)
    assert time.process_time() - started < 1


def test_trainings_are_judged_together(tmp_path: Path, key: PrivateKey) -> None:
    files = [next((EVIDENCE_FOLDER / "digits-resnet8").glob(f"retrain-seed{seed}-*")) / FILE for seed in range(5)]
    path = tmp_path / "trainings.json"
    path.write_text(envelope.sign(statement(judged(*files), key.public), key).text())
    found = verify_attestation(path, key.public)
    assert len(found.evidence["runs"]) == 5
    assert found.evidence["family"] > 50
    assert found.statement["predicate"]["result"] in ("PASSED", "WARNED")


def test_runs_of_two_recipes_are_not_signed_together() -> None:
    other = next((EVIDENCE_FOLDER / "digits-resnet14").glob("retrain-seed0-*")) / FILE
    own = next((EVIDENCE_FOLDER / "digits-resnet8").glob("retrain-seed0-*")) / FILE
    with pytest.raises(UsageError, match="a run of digits-resnet14, but"):
        judged(own, other)


WEIGHTS_NAME = f"{RUN.parent.name}/weights:embedded:digits-resnet8.safetensors"
CHANGES: dict[str, tuple[Change, str]] = {
    "prediction": (change_array("predictions"), f"{RUN.parent.name}/{NPZ}: expected sha256"),
    "label": (change_array("labels"), f"{RUN.parent.name}/{NPZ}: expected sha256"),
    "record": (change_record(created="2026-01-01T00:00:00Z"), f"{FILE}' is not that of the record"),
    "weights of the record": (change_record(weights="0" * 64), f"subject '{WEIGHTS_NAME}'"),
    "weights of the subject": (
        lambda data: data["subject"][3].update(digest={"sha256": "0" * 64}),
        f"the SHA-256 of the subject '{WEIGHTS_NAME}' is not that of the record",
    ),
    "data of the subject": (
        lambda data: data["subject"][0].update(digest={"sha256": "0" * 64}),
        "data/test' is not that of the record",
    ),
    "removed subject": (lambda data: data["subject"].pop(), f"the subject '{WEIGHTS_NAME}' is missing"),
    "added subject": (
        lambda data: data["subject"].append({"name": "other", "digest": {"sha256": "0" * 64}}),
        "the subject 'other' is not one of the records",
    ),
    "verdict": (set_in_evidence("verdict", value="not-reproduced"), "the predictions give reproduced"),
    "verdict of a claim": (
        set_in_evidence("judgements", 0, "verdict", value="inconclusive"),
        "judgements/0/verdict of accuracy on test: stated as inconclusive, but claims and predictions give reproduced",
    ),
    "measured score": (
        set_in_evidence("judgements", 0, "measured", value=0.99),
        "judgements/0/measured of accuracy on test: stated as 0.99, but",
    ),
    "claim": (set_in_evidence("claims", 0, "value", value=0.99), "the claims were changed"),
    "result": (
        lambda data: data["predicate"].update(result="FAILED"),
        "'result' is FAILED, but the judgements give PASSED",
    ),
    "passed tests": (
        lambda data: data["predicate"].update(passedTests=[]),
        "'passedTests' is [], but the judgements give ['accuracy",
    ),
    "another field": (lambda data: data["predicate"].update(note="x"), "the predicate has the unknown field 'note'"),
    "signer": (set_in_evidence("signer", value=base64.b64encode(b"1" * 32).decode()), "signed with the key"),
    "no signer": (set_in_evidence("signer", value=None), "the signature is not that of this content"),
    "family": (set_in_evidence("family", value=0), "the claims, times_judged or family are not what zoo writes"),
    "runs": (set_in_evidence("runs", value=[]), "the records are not runs of 'digits-resnet8'"),
    "entry": (set_in_evidence("entry", value="../../etc"), "the entry has no valid name"),
    "folder": (set_in_evidence("runs", 0, "folder", value="../x"), "'../x' is not the name of a run"),
    "files": (set_in_evidence("runs", 0, "files", value={"../x": ""}), "has not exactly the files"),
    "type of the statement": (lambda data: data.update(_type="x"), "not a statement of the type"),
    "type of the predicate": (lambda data: data.update(predicateType="x"), "the predicate is not a test result of zoo"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_refused_by_name(what: str, attestation: Path, signed: str, key: PrivateKey) -> None:
    change, words = CHANGES[what]
    attestation.write_text(changed(signed, change))
    with pytest.raises(IntegrityError) as caught:
        verify_attestation(attestation, key.public)
    assert words in str(caught.value)
    assert "the signature is not that of this content" in str(caught.value)
    assert "zoo-attest-" not in str(caught.value)


def test_a_changed_prediction_with_new_digests_is_found_by_its_score(
    attestation: Path, signed: str, key: PrivateKey
) -> None:
    data = payload_of(signed)
    change_array("labels")(data)
    run = data["predicate"][EVIDENCE]["runs"][0]
    record, digest = json.loads(run["record"]), envelope_digest(run["files"][NPZ])
    record["results"][0]["predictions"]["sha256"] = digest
    record["files"] = {NPZ: digest} if "files" in record else {}
    record |= {"results_sha256": json_digest(record["results"])}
    record["record_sha256"] = record_digest(record)
    run["record"] = json.dumps(record)
    attestation.write_text(with_payload(signed, json.dumps(data).encode()))
    with pytest.raises(IntegrityError, match="but the predictions beside it give"):
        verify_attestation(attestation, key.public)


def envelope_digest(text: str) -> str:
    return hashlib.sha256(base64.b64decode(text)).hexdigest()


def test_a_signature_by_another_key_is_refused(tmp_path: Path, attestation: Path, key: PrivateKey) -> None:
    make_key(tmp_path / "other.key")
    other = read_private_key(tmp_path / "other.key")
    attestation.write_text(envelope.sign(statement(judged(), other.public), other).text())
    with pytest.raises(IntegrityError, match=f"signed with the key {other.public.fingerprint}, not with the expected"):
        verify_attestation(attestation, key.public)
    assert verify_attestation(attestation, read_public_key(tmp_path / "other.key.pub")).is_trusted


def edited(text: str, **fields: Any) -> str:
    return json.dumps({**json.loads(text), **fields}, indent=1) + "\n"


ENVELOPES: dict[str, tuple[Callable[[str], str], str]] = {
    "truncated": (lambda text: text[:-100], "not an attestation, or truncated"),
    "empty": (lambda _: "", "not an attestation, or truncated: it is empty"),
    "a page": (lambda _: "# Model", "not an attestation, which is a JSON file that `zoo attest sign` writes"),
    "a list": (lambda _: "[]", "not a JSON object"),
    "another signature": (
        lambda text: edited(text, signatures=[{**json.loads(text)["signatures"][0], "sig": "AAAA"}]),
        "the signature is not that of this content",
    ),
    "another keyid": (
        lambda text: edited(text, signatures=[{**json.loads(text)["signatures"][0], "keyid": "x"}]),
        "keyid is 'x', but the key is",
    ),
    "no signature": (lambda text: edited(text, signatures=[]), "exactly one signature"),
    "two signatures": (lambda text: edited(text, signatures=json.loads(text)["signatures"] * 2), "exactly one"),
    "another type": (lambda text: edited(text, payloadType="text/plain"), "payloadType is 'text/plain', not"),
    "a second payload": (lambda text: edited(text, payload2="e30="), "the unknown key 'payload2'"),
    "a second document": (lambda text: text + text, "more than one JSON document"),
    "a key twice": (lambda text: text.replace("{", '{"payload": "e30=",', 1), "the key 'payload' occurs twice"),
    "no payload": (lambda text: text.replace('"payload"', '"load"'), "the envelope has no 'payload'"),
    "not base64": (lambda text: edited(text, payload="a b"), "payload is not base64"),
    "a byte order mark": (lambda text: f"\ufeff{text}", "or a byte order mark"),
    "other spaces": (lambda text: json.dumps(json.loads(text)), "not spelled as zoo writes it"),
    "NaN": (lambda text: text.replace('"signatures"', '"x": NaN, "signatures"'), "NaN is not a finite number"),
    "too deep": (lambda _: "[" * 100_000, "nested too deeply"),
    "a payload with a key twice": (
        lambda text: with_payload(text, json.dumps(payload_of(text)).replace("{", '{"_type":"x",', 1).encode()),
        "the key '_type' occurs twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ENVELOPES)
def test_another_envelope_is_refused_by_name(what: str, attestation: Path, signed: str, key: PrivateKey) -> None:
    change, words = ENVELOPES[what]
    attestation.write_text(change(signed))
    with pytest.raises(IntegrityError) as caught:
        verify_attestation(attestation, key.public)
    assert words in str(caught.value)


@given(position=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255), trusted=st.booleans())
def test_no_byte_can_be_changed(
    position: float, flipped: int, trusted: bool, signed: str, key: PrivateKey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(signed.encode())
    content[int(position * len(content))] ^= flipped
    path = tmp_path_factory.getbasetemp() / "flipped.json"
    path.write_bytes(content)
    with pytest.raises(IntegrityError):
        verify_attestation(path, key.public if trusted else None)


@settings(max_examples=50)
@given(data=st.data())
def test_no_part_of_a_statement_can_be_replaced(
    data: st.DataObject, signed: str, key: PrivateKey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever JSON stands anywhere in the statement, the check ends with its own error."""
    payload = payload_of(signed)
    part, names = copy.deepcopy(payload), []
    inner: Any = part
    while isinstance(inner, dict | list) and inner:
        keys = sorted(inner) if isinstance(inner, dict) else range(len(inner))
        names.append((inner, data.draw(st.sampled_from(list(keys)))))
        inner = names[-1][0][names[-1][1]]
        if data.draw(st.booleans()):
            break
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    value = data.draw(
        scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=3), scalars, max_size=2)
    )
    holder, name = names[-1]
    holder[name] = value
    path = tmp_path_factory.getbasetemp() / "replaced.json"
    path.write_text(with_payload(signed, json.dumps(part, sort_keys=True, separators=(",", ":")).encode()))
    if part != payload:
        with pytest.raises(IntegrityError):
            verify_attestation(path, key.public)
