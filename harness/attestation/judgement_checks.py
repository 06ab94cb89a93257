"""Judge the claims of a statement again, and name each field that states something else."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.attestation.packed_runs import DamagedError
from harness.attestation.statement import EVIDENCE, judgement_data, test_result
from harness.judging.verdict import in_family
from harness.records.digests import json_digest
from harness.records.record import RecordedRun
from harness.records.recorded_claims import claim_from
from harness.runs.judged_runs import JudgedRuns
from zoo.recipes import catalogue
from zoo.recipes.claim import Claim

LONGEST = 60
"""Characters of a value in a message."""


def judgement_problems(
    statement: Mapping[str, Any], evidence: Mapping[str, Any], runs: tuple[RecordedRun, ...], recorded: Path
) -> Iterator[str]:
    """Yield the claims, verdicts and results that differ from those that the predictions give.

    Args:
        statement: The statement.
        evidence: The evidence in its predicate.
        runs: Its runs, whose records and scores are checked.
        recorded: The folder of the records that predictions of published weights are compared with.

    Raises:
        DamagedError: The claims or the numbers that the verdicts depend on are of another kind.
        ValueError: A claim is none.
    """
    if json_digest(evidence["claims"]) != evidence["claims_sha256"]:
        yield "the claims were changed: they have another digest"
    judged = _judged(evidence, runs, recorded)
    yield from _family_problems(judged)
    yield from _differences(evidence["judgements"], judged)
    if evidence["verdict"] != judged.verdict:
        why = "" if judged.verdict else ", because none of the claims counts for a verdict"
        yield f"verdict: stated as {_shown(evidence['verdict'])}, but the predictions give {judged.verdict}{why}"
    expected = test_result(judged)
    for name in sorted({*expected, *statement["predicate"]} - {EVIDENCE}):
        if name not in expected:
            yield f"the predicate has the unknown field {name[:LONGEST]!r}"
        elif (stated := statement["predicate"].get(name)) != expected[name]:
            yield f"the predicate's {name!r} is {_shown(stated)}, but the judgements give {_shown(expected[name])}"


def _judged(evidence: Mapping[str, Any], runs: tuple[RecordedRun, ...], recorded: Path) -> JudgedRuns:
    times, family = evidence["times_judged"], evidence["family"]
    numbers = [*(times.values() if isinstance(times, dict) else [None]), family]
    if not isinstance(evidence["claims"], list) or not all(type(number) is int and number > 0 for number in numbers):
        raise DamagedError("the claims, times_judged or family are not what zoo writes")
    claims = tuple(map(claim_from, evidence["claims"]))
    return JudgedRuns(runs=runs, claims=claims, evidence=recorded, looks=times, family=family)


def _family_problems(judged: JudgedRuns) -> Iterator[str]:
    """Yield a stated number of adjusted claims that the evidence excludes.

    It is 1 for published weights, the number of the claims for a recipe that is not shipped, and at least this number
    for a shipped one: the number of all shipped claims on trainings then depends on the version that signed.
    """
    record, least = judged.record, max(1, sum(map(in_family, judged.claims)))
    is_training = record.identity.mode == "retrain"
    is_shipped = record.suite != catalogue.LOCAL or any(entry.name == record.entry for entry in catalogue.entries())
    if judged.family < least or (judged.family != least and not (is_training and is_shipped)):
        yield f"family: stated as {judged.family}, but the claims give {least}"
    if judged.looks and not is_training:
        yield "times_judged: only trainings are judged several times, but the runs are of published weights"


def _differences(stated: Any, judged: JudgedRuns) -> Iterator[str]:
    """Yield each field of a judgement that is not what the predictions give."""
    found = list(map(judgement_data, judged.judgements))
    listed = stated if isinstance(stated, list) else []
    for number, (signed, computed) in enumerate(zip(listed, found, strict=False)):
        where = f"judgements/{number}"
        if not isinstance(signed, dict):
            yield f"{where} is not a JSON object"
            continue
        yield from (f"{where} has the unknown field {name[:LONGEST]!r}" for name in sorted(set(signed) - set(computed)))
        for name, value in computed.items():
            if name not in signed or signed[name] != value:
                of = f" of {_title(judged.judgements[number].claim)}" if name != "claim" else ""
                shown = _shown(signed[name]) if name in signed else "nothing"
                yield f"{where}/{name}{of}: stated as {shown}, but claims and predictions give {_shown(value)}"
    if len(listed) != len(found):
        yield f"{len(listed)} judgements for {len(found)} claims"


def _title(claim: Claim) -> str:
    return f"{claim.metric} on {claim.split}"


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
