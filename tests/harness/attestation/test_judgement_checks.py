"""A signer who signs a changed statement again is refused, and each changed field is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.attestation import envelope
from harness.attestation.keys import PrivateKey, make_key, read_private_key
from harness.attestation.statement import EVIDENCE, statement
from harness.attestation.verify import verify_attestation
from harness.records.digests import json_digest
from harness.records.record import FILE
from harness.runs.judged_runs import judged_runs
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.errors import IntegrityError

RECORDS = ROOT / "leaderboard" / "records"
CLAIM = "accuracy on test"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> PrivateKey:
    path = tmp_path_factory.mktemp("keys") / "a.key"
    make_key(path)
    return read_private_key(path)


def payload_of(pattern: str, key: PrivateKey) -> bytes:
    file = next((RECORDS / "digits-resnet8").glob(pattern)) / FILE
    return statement(judged_runs([file], None, folder=RECORDS, evidence=RECORDS), key.public)


@pytest.fixture(scope="module")
def weights(key: PrivateKey) -> bytes:
    return payload_of("weights-*", key)


def problems_of(payload: bytes, key: PrivateKey, change: Change, folder: Path) -> str:
    """Change a statement, sign it again, and return why it is refused; an empty text if it is not."""
    data = json.loads(payload)
    change(data["predicate"])
    path = folder / "signed-again.json"
    path.write_text(envelope.sign(json.dumps(data, sort_keys=True, separators=(",", ":")).encode(), key).text())
    try:
        verify_attestation(path, key.public)
    except IntegrityError as error:
        return str(error).removeprefix(f"{path}: ")
    return ""


def without_gates(predicate: dict[str, Any]) -> None:
    evidence = predicate[EVIDENCE]
    evidence["claims"][0]["gates"] = False
    evidence["claims_sha256"] = json_digest(evidence["claims"])


def set_judgement(**fields: Any) -> Change:
    return lambda predicate: predicate[EVIDENCE]["judgements"][0].update(fields)


def set_evidence(**fields: Any) -> Change:
    return lambda predicate: predicate[EVIDENCE].update(fields)


CHANGES: dict[str, tuple[Change, str]] = {
    "claimed": (
        set_judgement(claimed=0.5),
        f"judgements/0/claimed of {CLAIM}: stated as 0.5, but claims and predictions give 0.9788419",
    ),
    "values": (
        set_judgement(values=[0.5]),
        f"judgements/0/values of {CLAIM}: stated as [0.5], but claims and predictions give [0.9788418708240535]",
    ),
    "claim": (
        set_judgement(claim="x"),
        "judgements/0/claim: stated as x, but claims and predictions give accuracy on test (last): 0.9788419",
    ),
    "another field": (set_judgement(note="x"), "judgements/0 has the unknown field 'note'"),
    "no object": (set_evidence(judgements=["x"]), "judgements/0 is not a JSON object"),
    "no judgement": (set_evidence(judgements=[]), "0 judgements for 1 claims"),
    "gates": (
        without_gates,
        "verdict: stated as reproduced, but the predictions give None, because none of the claims counts for a verdict;"
        " the predicate's 'result' is PASSED, but the judgements give WARNED",
    ),
    "family": (set_evidence(family=2), "family: stated as 2, but the claims give 1"),
    "times judged": (
        set_evidence(times_judged={"x": 2}),
        "times_judged: only trainings are judged several times, but the runs are of published weights",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_field_is_named_with_both_values(what: str, weights: bytes, key: PrivateKey, tmp_path: Path) -> None:
    change, words = CHANGES[what]
    assert problems_of(weights, key, change, tmp_path) == words


def test_another_version_is_named_only_of_a_valid_signature(weights: bytes, key: PrivateKey, tmp_path: Path) -> None:
    def change(predicate: dict[str, Any]) -> None:
        predicate[EVIDENCE].update(zoo="0.1.0", family=2)

    assert problems_of(weights, key, change, tmp_path).startswith("family: stated as 2, but the claims give 1; signed")
    damaged = json.loads((tmp_path / "signed-again.json").read_text())
    damaged["signatures"][0]["sig"] = f"AAAA{damaged['signatures'][0]['sig'][4:]}"
    (path := tmp_path / "damaged.json").write_text(json.dumps(damaged, indent=1) + "\n")
    with pytest.raises(IntegrityError) as caught:
        verify_attestation(path, key.public)
    assert "the signature is not that of this content by this key; family: " in str(caught.value)
    assert "signed by zoo" not in str(caught.value)


def test_a_shipped_training_may_be_adjusted_for_more_claims_than_its_own(key: PrivateKey, tmp_path: Path) -> None:
    training = payload_of("retrain-seed0-*", key)
    assert problems_of(training, key, set_evidence(family=1000), tmp_path) == ""
    assert "family: stated as 1, but the claims give 2" in problems_of(
        training, key, lambda predicate: _twice(predicate[EVIDENCE]), tmp_path
    )


def _twice(evidence: dict[str, Any]) -> None:
    evidence["claims"] *= 2
    evidence |= {"claims_sha256": json_digest(evidence["claims"]), "family": 1}


def test_the_number_of_claims_of_ones_own_recipe_is_checked(
    zoo: Zoo, recipe_file: Write, key: PrivateKey, tmp_path: Path
) -> None:
    claim = "claims:\n  - {of: retrain, split: test, metric: accuracy, value: 0.9, sigma: 0.01, source: made up}\n"
    assert zoo("train", recipe_file(TINY + claim), "--out", "run").code == 0
    judged = judged_runs([Path("run") / FILE], None, folder=tmp_path, evidence=RECORDS)
    payload = statement(judged, key.public)
    assert problems_of(payload, key, set_evidence(family=2), tmp_path) == "family: stated as 2, but the claims give 1"
    assert problems_of(payload, key, set_evidence(), tmp_path) == ""
