"""Commands that sign results, and check signed ones: attest sign, attest verify, attest key."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo import paths
from zoo.cli import render
from zoo.cli.exit_codes import OF_VERDICT, end
from zoo.cli.options import OUTPUT, WHAT, Json, Records, argument, command, option
from zoo.cli.progress import report, session_of
from zoo.errors import IntegrityError, SourceError, UsageError
from zoo.recipes.options import SourceOptions

if TYPE_CHECKING:
    from harness.attestation.verify import Attestation
    from harness.runs.judged_runs import JudgedRuns

ENDING = ".intoto.json"
UNTRUSTED = 3
"""The exit code of an attestation that is intact, but whose signer the user did not name."""
RUN_HELP = "The folder of a run, or ENTRY:SEED or ENTRY:weights. Several trainings of one recipe are judged together."
Recipe = Annotated[
    Path | None,
    option(
        "--recipe",
        "The recipe with the claims about the run. Default: the shipped recipe or the one beside the run, if they are"
        " the one that was run.",
        WHAT,
        "FILE",
    ),
]


@command
def sign(
    runs: Annotated[list[str], argument("RECORD", RUN_HELP)],
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
    from zoo.files import write_atomically

    if (key is None) == (not sigstore):
        raise UsageError("pass --key FILE or --sigstore; 'zoo attest key FILE' makes a key")
    private = read_private_key(key) if key is not None else None
    judged = judged_by(runs, recipe, records)
    payload = statement(judged, private.public if private else None)
    target = out or Path(f"{judged.record.entry}-{judged.record.identity.folder}{ENDING}")
    signed = envelope.sign(payload, private).text() if private else None
    _check_target(target, signed)  # before sigstore writes into its public log
    text = sign_with_sigstore(payload) if signed is None else signed
    try:
        write_atomically(target, text)
    except OSError as error:
        raise SourceError(f"{target}: cannot write there: {error.strerror or error}") from None
    lines = [*map(render.claim_line, judged.judgements), f"wrote {target} ({len(text):,} bytes)"]
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


def judged_by(runs: list[str], recipe: Path | None, records: Path | None) -> "JudgedRuns":
    """Return the runs that the user names, with the claims about them."""
    from harness.diagnosis.diff.find_record import find_record
    from harness.runs.judged_runs import judged_runs
    from zoo.recipes import catalogue

    session, folder, evidence = session_of(SourceOptions()), paths.runs(records), paths.evidence()
    files = [find_record(run, folder, evidence, session.entries.name_of) for run in runs]
    entry = catalogue.local(recipe) if recipe is not None else None
    named = runs[0].rpartition(":")[0] or runs[0]
    if entry is None and named.endswith(catalogue.ENDINGS) and Path(named).is_file():
        entry = catalogue.local(Path(named))
    return judged_runs(files, entry, folder=folder, evidence=evidence)


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
    evidence, signer, decimals = attestation.evidence, attestation.signer, _decimals(attestation)
    by = f"the key {signer.fingerprint}" if signer else attestation.identity
    lines = [
        f"{j['claim']}: claimed {j['claimed']}{decimals[j['claim']]}, measured {j['measured']}: {j['verdict']}"
        for j in evidence["judgements"]
    ]
    lines += [
        f"{recipe['name']}: {recipe['digest']['sha256']}"
        for recipe in attestation.statement["predicate"]["configuration"]
    ]
    lines += [f"{name}: {digest}" for name, digest in attestation.digests.items()]
    trust = "signed by the signer you named" if attestation.is_trusted else "you did not name its signer"
    return [f"{file}: intact, {attestation.statement['predicate']['result']}; {trust}", f"signer: {by}", *lines]


def _decimals(attestation: "Attestation") -> dict[str, str]:
    """Return how many decimals each claimed value counts with, by the name of the claim."""
    from harness.judging.judge_runs import claim_name
    from harness.records.recorded_claims import claim_from
    from zoo.text_tables import counted

    found: dict[str, list[str]] = {}
    for claim in map(claim_from, attestation.evidence["claims"]):
        count = claim.value_decimals
        found.setdefault(claim_name(claim), []).append("" if count is None else f" to {counted(count, 'decimal')}")
    return {name: " or".join(dict.fromkeys(texts)) for name, texts in found.items()}
