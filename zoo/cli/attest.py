"""Commands that sign results, and check signed ones: attest sign, attest verify, attest key."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.completion import complete_runs
from zoo.cli.exit_codes import OF_VERDICT, end
from zoo.cli.judged_runs import RUN_HELP, Recipe, judged_by, write_text
from zoo.cli.options import OUTPUT, WHAT, Json, Lock, Records, argument, option
from zoo.cli.progress import report
from zoo.errors import IntegrityError, SourceError, UsageError
from zoo.safe_text import one_line

if TYPE_CHECKING:
    from harness.attestation.verify import Attestation
    from zoo.recipes.claim import Claim

ENDING = ".intoto.json"
UNTRUSTED = 3
"""The exit code of an attestation that is intact, but whose signer the user did not name."""


@command
def sign(
    runs: Annotated[
        list[str],
        argument("RECORD", f"{RUN_HELP}. Several trainings of one recipe are judged together.", complete_runs),
    ],
    key: Annotated[
        Path | None,
        option("--key", "Sign with this private key; 'zoo attest key FILE' makes one. Default: none.", WHAT, "FILE"),
    ] = None,
    sigstore: Annotated[
        bool,
        option(
            "--sigstore",
            "Sign with the identity of this job, such as that of GitHub Actions, by sigstore.dev. Default: with --key.",
            WHAT,
        ),
    ] = False,
    recipe: Recipe = None,
    out: Annotated[
        Path | None,
        option("--out", f"Write the attestation to this file. Default: the run's name and {ENDING}.", OUTPUT, "FILE"),
    ] = None,
    records: Records = None,
    lock: Lock = None,
    as_json: Json = False,
) -> None:
    """Sign what a run measured: weights, data, predictions, scores and verdicts, in one file.

    Anybody can check the file offline with 'zoo attest verify'. It holds the record and the predictions, and no weights
    and no data.

    Example: zoo attest sign digits-resnet8:weights --key my.key
    """
    from harness.attestation import envelope
    from harness.attestation.keys import read_private_key
    from harness.attestation.sigstore_bundle import sign_with_sigstore
    from harness.attestation.statement import statement

    if (key is None) == (not sigstore):
        raise UsageError("pass --key FILE or --sigstore; 'zoo attest key FILE' makes a key")
    private = read_private_key(key) if key is not None else None
    judged = judged_by(runs, recipe, records, lock)
    payload = statement(judged, private.public if private else None)
    target = out or Path(f"{judged.record.entry}-{judged.record.identity.folder}{ENDING}")
    signed = envelope.sign(payload, private).text() if private else None
    _check_target(target, signed)  # before sigstore writes into its public log
    text = sign_with_sigstore(payload) if signed is None else signed
    write_text(target, text)
    lines = [render.claim_line(j, _title(j.claim, judged.record.recipe)) for j in judged.judgements]
    lines += [f"wrote {target} ({len(text):,} bytes)"]
    if not judged.judgements:
        lines.insert(0, "no claim is known, so the attestation says what was measured, without a verdict")
    data = {
        "attestation": str(target), "bytes": len(text), "verdict": judged.verdict,
        "claims": [render.judgement_data(judgement, judged.record.identity.mode) for judgement in judged.judgements],
    }  # fmt: skip
    render.emit(data, "\n".join(lines), as_json=as_json)


@command
def verify(
    file: Annotated[Path, argument("FILE", "The attestation.")],
    key: Annotated[
        Path | None,
        option("--key", "The public key of the signer whom you trust. Default: the key in the file.", WHAT, "FILE"),
    ] = None,
    identity: Annotated[
        str | None,
        option(
            "--identity",
            "The identity that sigstore certified: an e-mail address or the URL of a workflow. Default: any.",
            WHAT,
            "NAME",
        ),
    ] = None,
    issuer: Annotated[
        str | None,
        option(
            "--issuer", "The issuer of --identity, such as https://token.actions.githubusercontent.com.", WHAT, "URL"
        ),
    ] = None,
    artifact: Annotated[
        list[Path] | None,
        option(
            "--artifact",
            "Also check that this file, such as the weights, is one that the attestation is about. Can be repeated."
            " Default: none.",
            WHAT,
            "FILE",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a signed result offline: the signature, every digest, the scores and the verdicts.

    Scores and verdicts are computed again from the signed predictions. Exit code 5 means that something was changed,
    and 3 that nothing was, but that you named no signer whom you trust. If you trust the signer, the exit code is that
    of the verdict: 1 if a claim is not reproduced, 3 if none can be decided.

    Example: zoo attest verify result.intoto.json --key their.key.pub
    """
    from harness.attestation.keys import read_public_key
    from harness.attestation.sigstore_bundle import is_bundle, verify_bundle
    from harness.attestation.verify import verify_attestation

    if (identity is None) != (issuer is None):
        raise UsageError("pass --identity and --issuer together")
    if is_bundle(file):
        if key is not None:
            raise UsageError(f"{file} is signed by sigstore, not by a key; pass --identity and --issuer")
        attestation = verify_bundle(file, identity, issuer)
    else:
        if identity is not None:
            raise UsageError(f"{file} is signed by a key, not by sigstore; pass --key")
        attestation = verify_attestation(file, read_public_key(key) if key is not None else None)
    _check_artifacts(attestation, artifact or [])
    if not attestation.is_trusted:
        report(
            "nothing was changed since it was signed, but that does not say by whom: anybody can sign with a key of"
            " their own. Pass --key with the public key of the signer whom you trust."
        )
    render.emit(_data(file, attestation), "\n".join(_lines(file, attestation)), as_json=as_json)
    verdict = attestation.evidence["verdict"]
    end([OF_VERDICT[verdict] if verdict and attestation.is_trusted else 0 if attestation.is_trusted else UNTRUSTED])


@command
def key(
    file: Annotated[Path, argument("FILE", "Write the private key to this new file, and the public one to FILE.pub.")],
    as_json: Json = False,
) -> None:
    """Make a key to sign with, which only you can read. Files that exist are never overwritten.

    Example: zoo attest key my.key
    """
    from harness.attestation.keys import PUBLIC, make_key

    public = make_key(file)
    data = {"private_key": str(file), "public_key": f"{file}{PUBLIC}", "fingerprint": public.fingerprint}
    text = (
        f"wrote {file} (keep it secret) and {file}{PUBLIC} (publish it where others trust it)\n"
        f"fingerprint: {public.fingerprint}"
    )
    render.emit(data, text, as_json=as_json)


def _check_target(target: Path, text: str | None) -> None:
    """Raise UsageError if a file exists that the attestation would replace; None for one that is not signed yet."""
    try:
        is_same = not os.path.lexists(target) or (text is not None and target.read_bytes() == text.encode())
    except OSError as error:
        raise SourceError(f"{target}: {error.strerror or error}") from None
    if not is_same:
        raise UsageError(f"{target} exists already and is another file; move it away, or pass another --out")


def _check_artifacts(attestation: "Attestation", artifacts: list[Path]) -> None:
    from zoo.fetch.checksum import sha256

    for path in artifacts:
        if (digest := sha256(path)) not in attestation.digests.values():
            raise IntegrityError(f"{path}: the attestation is about no file with its SHA-256, {digest}")


def _data(file: Path, attestation: "Attestation") -> dict[str, Any]:
    evidence = attestation.evidence
    return {
        "attestation": str(file), "intact": True, "trusted": attestation.is_trusted,
        "signer": attestation.signer.fingerprint if attestation.signer else attestation.identity,
        "result": attestation.statement["predicate"]["result"], "entry": evidence["entry"],
        "verdict": evidence["verdict"], "claims": evidence["judgements"], "subjects": attestation.digests,
    }  # fmt: skip


def _lines(file: Path, attestation: "Attestation") -> list[str]:
    """Return the report of an intact attestation."""
    from harness.records.recorded_claims import claim_from

    evidence, signer = attestation.evidence, attestation.signer
    by = f"the key {signer.fingerprint}" if signer else attestation.identity
    claims, recipe = map(claim_from, evidence["claims"]), json.loads(evidence["runs"][0]["record"])["recipe"]
    lines = [_claim_line(*pair, recipe) for pair in zip(claims, evidence["judgements"], strict=True)]
    lines += [
        f"{recipe['name']}: {recipe['digest']['sha256']}"
        for recipe in attestation.statement["predicate"]["configuration"]
    ]
    lines += [f"{name}: {digest}" for name, digest in attestation.digests.items()]
    trust = "signed by the signer you named" if attestation.is_trusted else "you did not name its signer"
    return [f"{file}: intact, {attestation.statement['predicate']['result']}; {trust}", f"signer: {by}", *lines]


def _title(claim: "Claim", recipe: Mapping[str, Any]) -> str:
    """Return the metric of a claim, with its arguments in the recipe, and the split."""
    from harness.runs.hub_names import metric_arguments, metric_title

    arguments = metric_arguments(recipe, claim.metric)
    return f"{metric_title(claim.metric, arguments) if arguments else claim.metric} on {claim.split}"


def _claim_line(claim: "Claim", judgement: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """Return a judged claim on one line, with the decimals that its value counts with."""
    from zoo.text_tables import counted

    checkpoint = {"last": " after the last epoch", "best": " at its best epoch"}[claim.selection]
    rows = f"{_title(claim, recipe)}{checkpoint if claim.of == 'retrain' else ''}"
    decimals = f" ({counted(claim.value_decimals, 'decimal')})" if claim.value_decimals is not None else ""
    scores = f"claimed {claim.value}{decimals}, measured {judgement['measured']}"
    return f"{one_line(rows)}: {scores}: {judgement['verdict']}"
